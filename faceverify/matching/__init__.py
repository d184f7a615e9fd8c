"""From embeddings to decisions: distances, fusion, thresholds, probabilities."""
