"""Data sets as arrays: files, development set, folds, resplit, sealed test set."""
