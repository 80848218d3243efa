"""Looks at the whole system: Redis, the history database, and the processes of the services."""
