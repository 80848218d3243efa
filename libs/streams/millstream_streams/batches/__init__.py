"""Batches in Redis: what is stored of them, and their transitions."""
