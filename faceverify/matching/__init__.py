"""From templates to decisions: distances, thresholds, calibration."""
