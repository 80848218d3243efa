"""Settings: from environment variables to one frozen Struct per service, with all that is wrong said at once."""
