"""Training sets written, converted and split, one format a file."""
