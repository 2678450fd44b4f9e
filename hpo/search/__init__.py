"""Studies in a SQL database: storage, trial queue, sampler, pruner, worker. Only this imports optuna and sqlalchemy."""
