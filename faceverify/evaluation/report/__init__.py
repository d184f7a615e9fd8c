"""The report of an evaluation: plots, worst errors, one HTML page that needs nothing else."""
