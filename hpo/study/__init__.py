"""What a study is: datasets, training settings, search space, spec. Standard library and pydantic only."""
