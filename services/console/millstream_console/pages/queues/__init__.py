"""The list of queues, and one queue."""
