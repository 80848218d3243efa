"""Turns submissions of clients into jobs, one at a time or in batches."""
