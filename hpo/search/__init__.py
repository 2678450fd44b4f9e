"""Studies in a SQL database: storage, budget and leases, sampler, pruner, worker. The only room with optuna and sqlalchemy."""
