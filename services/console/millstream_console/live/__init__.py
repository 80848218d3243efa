"""Keeps open pages fresh: what they show is read once for all who look at the same, and sent to each."""
