"""Provide losses, PESG, weight averaging and learning-rate schedules."""
