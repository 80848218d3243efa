"""Webhooks: which events go where, and the jobs that deliver them."""
