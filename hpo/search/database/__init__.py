"""One SQL database: addresses, engine, errors, retries, locks, hpo's tables, Optuna's storage on the same engine."""
