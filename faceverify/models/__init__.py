"""Models: model files, the registry of installed ones, and their inference."""
