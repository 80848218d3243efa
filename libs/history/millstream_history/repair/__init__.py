"""Repairs the history after events were lost: gaps, jobs that are read again, and ends that were not recorded."""
