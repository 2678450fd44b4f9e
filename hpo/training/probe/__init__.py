"""Measurements before a study: time of a step, memory of a worker."""
