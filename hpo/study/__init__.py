"""Definition of a study: datasets, training settings, search space, spec. Needs only pydantic."""
