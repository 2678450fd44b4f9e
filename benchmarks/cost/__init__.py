"""What the database costs a trial, for hpo and for stock Optuna; started by `benchmarks/service.py`."""
