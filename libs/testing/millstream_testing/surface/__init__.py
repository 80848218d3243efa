"""What a test sees of the kit besides `Testing` itself: clients, submissions, what is left behind."""
