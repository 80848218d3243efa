"""`--reload`: starts the workers anew when the source of their apps changes. Needs the extra `reload`."""
