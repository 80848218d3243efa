"""What is stored of jobs and events: the columns, the rows of a batch, and how they are loaded."""
