"""The commands that run a service, one module each: so a process imports only the service that it runs."""
