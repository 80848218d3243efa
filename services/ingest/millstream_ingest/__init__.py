"""The HTTP API: validates, admits and stores submissions, and shows the jobs."""
