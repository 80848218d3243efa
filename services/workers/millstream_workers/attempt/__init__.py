"""One attempt as values: the running delivery, its stop scope, its result, and a failure as it is stored."""
