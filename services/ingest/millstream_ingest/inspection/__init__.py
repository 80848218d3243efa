"""Reads jobs, queues and dead letters, and acts on them for operators."""
