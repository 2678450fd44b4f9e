"""How many workers one device bears: measured, settled, and kept for the next time."""
