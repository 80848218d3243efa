"""What `up` and `worker --processes` show of their processes: log lines as they are, or rendered for people."""
