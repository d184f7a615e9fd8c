"""How far a number may be trusted: resampled pairs and identities."""
