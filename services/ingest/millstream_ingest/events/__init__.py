"""Live events: one reader of the event streams for all clients that follow jobs over this process."""
