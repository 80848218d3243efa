"""The embedded PostgreSQL: the programs of this machine, the account that they run as, the data, the server."""
