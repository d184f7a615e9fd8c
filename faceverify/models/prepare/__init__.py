"""Preparation of ONNX graphs for the engine: the same embeddings, computed faster."""
