"""Error rates on degraded photos: how a model fails, and whether it says so."""
