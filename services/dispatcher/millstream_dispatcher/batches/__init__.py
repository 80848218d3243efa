"""Batches: submits the jobs of their callbacks, and ends the members of cancelled ones."""
