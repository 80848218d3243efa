"""The list of jobs: a search of the history, or, without one, what Redis has."""

from millstream_console.pages.jobs import columns, export, hints, job_list

HANDLERS = (*job_list.HANDLERS, *hints.HANDLERS, *export.HANDLERS, *columns.HANDLERS)
"""The functions that answer."""
