"""The trials of a study as a queue: budget slots, leases, reports, final states, and the registry of workers."""
