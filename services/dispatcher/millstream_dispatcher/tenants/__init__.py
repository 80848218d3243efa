"""Tenants: which of them may start jobs, and that their queues follow."""
