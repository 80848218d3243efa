"""The audit trail: who has changed what."""
