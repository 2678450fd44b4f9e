"""Choose the number of workers per device: measure, tune, and cache the result."""
