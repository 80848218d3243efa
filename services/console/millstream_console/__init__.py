"""The console: pages over the HTTP API, for people who run jobs and for those who wrote them."""
