"""AUC with standard errors, in plain numpy."""
