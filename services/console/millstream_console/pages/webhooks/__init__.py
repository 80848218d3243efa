"""Webhooks: where events of jobs go, what was delivered, and with which secret."""
