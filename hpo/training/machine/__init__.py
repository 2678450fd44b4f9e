"""Manage device and process: choice, precision, memory limits, failures, cost, provenance."""
