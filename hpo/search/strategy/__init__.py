"""Search strategy: samplers, pruners, racing, seeds."""
