"""`millstream demo`: the whole system at work on this machine, and a check that every job ended as it should."""
