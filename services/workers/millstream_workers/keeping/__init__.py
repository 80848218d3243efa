"""Keeps what runs and what ended: leases, outcomes until Redis has them, jobs until a worker leaves."""
