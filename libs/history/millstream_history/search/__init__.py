"""Searches the jobs of the history: a query language, and pages that are never slow."""
