"""Confidence intervals: bootstrap over identities, of pair lists and of full cross-comparisons."""
