"""Getting models: downloads, and files of other projects made model files."""
