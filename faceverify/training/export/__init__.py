"""Export of a backbone to a model file."""
