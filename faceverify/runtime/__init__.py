"""What knows no face: files, text, parallel work, ONNX Runtime sessions."""
