"""optuna-dashboard on a database, with notes and figures that are generated when viewed."""
