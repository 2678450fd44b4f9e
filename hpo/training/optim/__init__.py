"""Losses, PESG, weight averaging, learning-rate schedules."""
