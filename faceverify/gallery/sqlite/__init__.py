"""A gallery in a folder: ``store.py`` is the engine, SQLite its truth, the search files derived."""
