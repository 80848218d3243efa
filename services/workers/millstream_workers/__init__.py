"""The worker service: claims jobs, runs their handlers, keeps their leases, commits what became of them."""
