"""Workflows: starts the jobs of their nodes, and tells them what became of these."""
