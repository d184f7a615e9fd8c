"""Writing, conversion and splitting of training sets."""
