"""The configuration of a run: its settings, their limits, TOML, recipes."""
