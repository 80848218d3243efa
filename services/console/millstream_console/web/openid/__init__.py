"""Signing in at an OpenID provider: what is asked of it, and the attempt that a browser has begun."""
