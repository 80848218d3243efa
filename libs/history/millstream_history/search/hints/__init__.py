"""Hints at how a query can go on."""
