"""Queries of the history, each a function over a connection."""
