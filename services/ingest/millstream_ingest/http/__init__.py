"""HTTP as ingest speaks it: bodies, headers, encodings, refusals. No module here knows a job or a route."""
