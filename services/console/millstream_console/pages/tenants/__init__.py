"""Tenants, as the operator sees and manages them."""

from millstream_console.pages.tenants.tenant_pages import HANDLERS

__all__ = ["HANDLERS"]
