"""One job: its course, why it stands where it stands, its attempts and data, and what can be done with it."""

from millstream_console.pages.job import acting, job_page, resubmission

HANDLERS = (*resubmission.HANDLERS, *job_page.HANDLERS, *acting.HANDLERS)
"""The functions that answer."""
