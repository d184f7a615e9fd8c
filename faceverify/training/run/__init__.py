"""A whole run: from a configuration to a model file with thresholds."""
