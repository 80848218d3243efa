"""Limits of how often the API may be asked, over all ingest processes."""
