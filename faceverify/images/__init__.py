"""Photo in: a path, bytes, standard input or URL becomes upright RGB."""
