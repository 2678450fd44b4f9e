"""Render terminal output: tables, live views and progress bars."""
