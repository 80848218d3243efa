"""The spans of a job's life, and the trace context that travels with it."""
