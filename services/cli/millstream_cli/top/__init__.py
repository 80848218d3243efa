"""`top`: a view of queues, workers and failures that is kept fresh."""
