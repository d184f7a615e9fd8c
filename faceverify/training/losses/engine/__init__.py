"""Softmax over class centres: dense, chunked, sharded over processes, with sampled classes."""
