"""Redis in memory: the ledger makes the transitions of jobs, and the other modules show it as parts of a broker."""
