"""Measure before a study: the time of a step, the memory of a worker."""
