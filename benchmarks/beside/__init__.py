"""hpo's training beside loops as others write them; started by `benchmarks/training.py`."""
