"""General infrastructure: files, text, parallel execution, ONNX Runtime sessions."""
