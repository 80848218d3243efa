"""What operators set of queues."""
