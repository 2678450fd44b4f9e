"""What the search tried and what followed from it: evidence, effects of settings, figures, sections."""
