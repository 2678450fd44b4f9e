"""Write the technical report of a study as one HTML page and as Markdown."""
