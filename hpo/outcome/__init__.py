"""From a finished search to a result."""
