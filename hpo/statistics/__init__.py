"""What results are worth: AUC and accuracy with errors, intervals, comparisons, tests, curves; plain numpy."""
