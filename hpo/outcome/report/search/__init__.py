"""Report on the search: evidence, effects of settings, figures, sections."""
