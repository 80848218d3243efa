"""Endpoints of webhooks: made, changed, and called by hand."""
