"""Enrolled people: nothing acknowledged is lost, and search is as fast as memory is read."""
