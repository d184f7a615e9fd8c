"""Training sets, one format a file: folders, RecordIO, WebDataset."""
