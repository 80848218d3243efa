"""Whether jobs are safe on a Redis, and whether its user may do what a service does: asked before the first job."""
