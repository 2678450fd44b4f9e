"""Report on confirmation and final result: stages, figures, sections."""
