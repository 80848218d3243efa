"""An ingest that asks for keys, with a tenant beside the operator's own."""

from ingest.access.conftest import admin, give, ingest, settings

__all__ = ["admin", "give", "ingest", "settings"]
