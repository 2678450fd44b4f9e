"""What to try next and what to give up: samplers, pruners, racing, seeds."""
