"""The HTTP API: validates, admits and stores submissions, and shows what became of them."""
