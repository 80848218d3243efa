"""Batches over the API: made, given members, shown, closed and cancelled."""
