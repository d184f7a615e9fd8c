"""Distributed training: the processes of a run and their collective operations."""
