"""The trials of a study as a queue: slots of the budget, leases, reports, ends, and the registry of workers."""
