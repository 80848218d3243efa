"""The guarded HTTP client: for calls to URLs that users name."""
