"""Commands that compare the history with Redis, and repair it."""
