"""Run the training loop: folds, epochs, trials, checkpoints, refits, model files."""
