"""What is read beside the transitions: jobs, lists, events, hints, and the registry of queues, types and workers."""
