"""Losses of (B, L) logits, by family: AUCM, cross-entropy, and those that plug-ins register."""
