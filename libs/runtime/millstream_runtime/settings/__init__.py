"""Settings: environment variables become one frozen Struct per service, or a list of all that is wrong."""
