"""The training loop: a fold, an epoch, a trial over folds, checkpoints, refits and model files."""
