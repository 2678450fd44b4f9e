"""The technical report of a study: what was asked, tried and found, as one HTML page and as Markdown."""
