"""The worker service: claims jobs, runs their handlers, keeps their leases, and commits the outcomes."""
