"""Studies in a SQL database: storage, budget and leases, sampler, pruner, worker; alone has optuna and sqlalchemy."""
