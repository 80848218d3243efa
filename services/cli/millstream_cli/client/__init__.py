"""The commands that talk to the HTTP API, and how they print what it answers."""
