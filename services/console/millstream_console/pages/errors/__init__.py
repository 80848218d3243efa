"""Errors: dead jobs by what they have died of."""

from millstream_console.pages.errors import error_list, group_page

HANDLERS = (*error_list.HANDLERS, *group_page.HANDLERS)
"""The functions that answer."""
