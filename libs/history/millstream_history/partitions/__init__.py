"""The days of the history: their partitions are made ahead, and dropped when they are old."""
