"""A backbone as a model file, checked before it is written."""
