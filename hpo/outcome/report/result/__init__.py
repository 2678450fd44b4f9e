"""Confirmation and final result: stages, figures, sections."""
