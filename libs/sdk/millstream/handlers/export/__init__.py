"""`data.export`: the jobs that a query finds, as a file."""
