"""PostgreSQL engine: ``store.py`` is the store, the other modules are its parts."""
