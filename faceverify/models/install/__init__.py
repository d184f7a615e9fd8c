"""Installation of models: downloads, and conversion of other projects' files."""
