"""Enrolled people: stored so that nothing acknowledged is lost, searched as fast as memory is read."""
