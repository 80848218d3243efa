"""Checks before the first job whether jobs are safe on a Redis, and whether its user has all rights."""
