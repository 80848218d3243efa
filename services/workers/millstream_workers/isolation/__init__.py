"""Handlers in processes of their own: what starts, guards, stops and reuses them, and what is said across."""
