"""Tokens of other issuers (JWT): their form, the keys that sign them, and the principals that they make."""
