"""Run PostgreSQL in user space, from the wheel of the extra `server`: `hpo db serve`."""
