"""Keeps the leases of running jobs, outcomes until Redis has stored them, and jobs until a worker leaves."""
