"""Connects to Redis: addresses, TLS, connections of each topology, and the meaning of their failures."""
