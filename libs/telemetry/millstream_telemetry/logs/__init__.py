"""One log for a process, and the text of whatever is logged."""
