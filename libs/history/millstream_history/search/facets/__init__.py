"""Facets: what the jobs that a search finds have in common."""
