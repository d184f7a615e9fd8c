"""Checkpoints: the state of a run at one step, from which it resumes bit for bit."""
