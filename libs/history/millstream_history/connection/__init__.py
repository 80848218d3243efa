"""Connects to PostgreSQL: addresses and libpq's parameters, connections, and the meaning of their failures."""
