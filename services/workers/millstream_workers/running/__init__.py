"""Runs deliveries: their tasks, alone or beside others, the call of the handler, and the decision."""
