"""Batches: which there are, how far each is, and what can be done with it."""
