"""Reads everything except the transitions: jobs, lists, events, hints, and the registry."""
