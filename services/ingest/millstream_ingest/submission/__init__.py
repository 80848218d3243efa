"""Makes jobs of what clients submit, one at a time or in batches."""
