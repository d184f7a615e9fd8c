"""From a photo to aligned faces: detection, choice, quality, alignment."""
