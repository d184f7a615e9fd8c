"""Photo input: a path, bytes, standard input or a URL, decoded to upright RGB."""
