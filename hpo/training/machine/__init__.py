"""The device and the process: choice, precision, memory limits, failures, cost, provenance."""
