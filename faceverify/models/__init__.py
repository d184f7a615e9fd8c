"""Models: the file that carries one, where such files are, and the nets that run them."""
