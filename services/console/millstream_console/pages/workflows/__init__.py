"""Workflows: which there are, the graph of each, and what can be done with it."""
