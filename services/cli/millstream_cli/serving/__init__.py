"""The commands that run a service, a module each: a process imports only the service that it runs."""
