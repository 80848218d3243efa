"""Looks at the whole system: Redis, the history database, the processes of the services and their duties."""
