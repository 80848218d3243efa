"""What is asked of the history. Every query is a function over a connection; lists and searches join those of jobs."""
