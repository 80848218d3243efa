"""The routes: each reads a request, has one of the parts do the work, and shapes the answer."""
