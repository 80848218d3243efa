"""Runs what was taken in: in which task, alone or beside others, how a handler is called, what becomes of its job."""
