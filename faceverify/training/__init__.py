"""Training: from a folder of people to a model file. Needs torch."""
