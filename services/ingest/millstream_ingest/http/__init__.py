"""HTTP as ingest speaks it: bodies, headers, encodings, refusals. Nothing here knows a job or a route."""
