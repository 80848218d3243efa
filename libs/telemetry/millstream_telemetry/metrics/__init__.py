"""What is counted and timed: the metrics of each service, and the registry that holds them."""
