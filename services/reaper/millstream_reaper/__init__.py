"""The reaper service: recovers jobs of lost workers, buries those that keep crashing, and removes leftovers."""
