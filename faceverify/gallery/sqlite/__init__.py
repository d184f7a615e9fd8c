"""Embedded engine: a gallery in a folder, kept by SQLite, with search files derived from it."""
