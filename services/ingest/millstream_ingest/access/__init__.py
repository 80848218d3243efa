"""Who may use ingest: credentials, the keys that it holds in memory, and what is refused."""
