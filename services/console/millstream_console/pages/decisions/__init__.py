"""Decisions about jobs, few or many: what they would do is shown, and confirmed, before it is done."""

from millstream_console.pages.decisions import deciding

HANDLERS = deciding.HANDLERS
"""The functions that answer."""
