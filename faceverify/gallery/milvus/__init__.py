"""A gallery in Milvus, a server or a folder: ``store.py`` is the engine, the rest its parts."""
