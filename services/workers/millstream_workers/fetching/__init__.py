"""Fetches jobs: how many, from which queues and partitions, and for which release."""
