"""Notices: what is wrong for too long, and how it is told."""
