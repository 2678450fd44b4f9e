"""optuna-dashboard on a database, with notes and pictures made when they are looked at."""
