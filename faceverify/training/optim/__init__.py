"""Optimisation: optimiser, schedules, moving average, precision, freezing, gradient caching."""
