"""Faces of a photo: detection, selection, quality, alignment, crops."""
