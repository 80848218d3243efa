"""Operations: decisions about many jobs, while they are carried out and afterwards."""

from millstream_console.pages.operations import operation_pages

HANDLERS = operation_pages.HANDLERS
"""The functions that answer."""
