"""A run at one step, stored so that it goes on bit for bit."""
