"""Schedules: which there are, when each is due, what became of it, and running the past again."""
