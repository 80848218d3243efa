"""The audit trail: an append-only table of records, each chained to the one before of its tenant."""
