"""`--reload`: restarts the workers when the source of their apps changes. Needs the extra `reload`."""
