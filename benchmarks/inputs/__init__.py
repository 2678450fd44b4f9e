"""Broken input of every kind for `benchmarks.fuzz`, and what hpo makes of it."""
