"""Configuration of a training run: settings with limits, TOML files, recipes."""
