"""The routes: each reads a request, has one of the services do the work, and shapes the response."""
