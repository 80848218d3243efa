"""The duties of schedules: which occasions start a job, and the jobs on their way to their queues."""
