"""Milvus engine, a server or milvus-lite: ``store.py`` is the store, the others its parts."""
