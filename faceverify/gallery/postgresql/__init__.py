"""A gallery on a PostgreSQL server: ``store.py`` is the engine, the rest its parts."""
