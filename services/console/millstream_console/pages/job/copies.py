"""Writes a job as the call that would submit it once more: for a shell, and in Python."""

import shlex
from typing import Any

import msgspec

from millstream import Job
from millstream_console.drawing.user_text import json_text


def as_curl(job: Job, url: str) -> str:
    """Return a command."""
    body = json_text(_body(job))
    return f"curl {shlex.quote(url)}/v1/jobs -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"


def as_python(job: Job, url: str) -> str:
    """Return lines of Python."""
    options = "".join(f", {name}={value!r}" for name, value in _options(job).items())
    return (
        "from millstream import SyncClient\n\n"
        f"with SyncClient({url!r}) as client:\n"
        f"    job = client.submit({job.type!r}, {job.payload!r}{options})\n"
    )


def as_json(job: Job) -> str:
    """Return the job as the API shows it."""
    return json_text(msgspec.to_builtins(job), indent=2)


def _options(job: Job) -> dict[str, Any]:
    """Return the options of the submission that a job still tells."""
    options: dict[str, Any] = {}
    if job.priority != "normal":
        options["priority"] = job.priority.value
    if job.key is not None:
        options["key"] = job.key
    if job.max_attempts is not None:
        options["max_attempts"] = job.max_attempts
    if job.timeout_s is not None:
        options["timeout"] = job.timeout_s
    if job.tags:
        options["tags"] = dict(job.tags)
    return options


def _body(job: Job) -> dict[str, Any]:
    options = _options(job)
    if "timeout" in options:
        options["timeout_s"] = options.pop("timeout")
    return {"type": job.type, "payload": job.payload, **options}
