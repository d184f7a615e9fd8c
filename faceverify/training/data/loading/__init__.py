"""Sets to batches: decoded ahead in threads, in a fixed order."""
