"""Handlers in processes of their own: starting, guarding, stopping and reusing them, and the messages between."""
