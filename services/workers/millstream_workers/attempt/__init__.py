"""One attempt as values: the delivery in hand, how its handler is stopped, what it did, asked for or failed of."""
