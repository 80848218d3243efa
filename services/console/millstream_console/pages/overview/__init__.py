"""The overview: what needs a person, what happens, and the first run."""
