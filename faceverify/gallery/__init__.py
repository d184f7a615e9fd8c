"""Gallery: enrolled templates, kept durably and searched by SQLite, PostgreSQL or Milvus."""
