"""The fields by which forms of schedules, templates and single jobs say what a job is."""

from typing import Any

from msgspec import Struct

from millstream import ApiError, Client, Job
from millstream_console.pages.typed_fields import length_of, length_text, payload_text, tags_of, tags_text, whole_number
from millstream_contracts import PriorityName, ScheduledJob, Template

PRIORITIES: tuple[PriorityName, ...] = ("high", "normal", "low")
_NORMAL: PriorityName = "normal"


class TypedJob(Struct, frozen=True, kw_only=True):
    """A job as it is typed: text, so that what is wrong comes back as it was."""

    type: str = ""
    payload: str = "{}"
    priority: str = _NORMAL
    key: str = ""
    max_attempts: str = ""
    timeout: str = ""
    """A length of time, as `length_of` reads it."""
    expires_in: str = ""
    """A length of time too."""
    tags: str = ""
    """One a line, `name: value`."""

    def options(self) -> dict[str, Any]:
        """Return the options of the job, None where nothing is typed. Raises: FieldFaultError."""
        options: dict[str, Any] = {
            "priority": self.priority if self.priority not in {"", _NORMAL} else None,
            "key": self.key or None,
        }
        for field in ("timeout", "expires_in"):
            if text := getattr(self, field):
                options[field] = length_of(field, text)
        if self.max_attempts:
            options["max_attempts"] = whole_number("max_attempts", self.max_attempts)
        if self.tags:
            options["tags"] = tags_of("tags", self.tags)
        return options


async def known_types(client: Client) -> list[str]:
    """Return the types that a form offers, by name; none where the API does not tell them."""
    try:
        return sorted(one.type for one in await client.types())
    except ApiError:
        return []


def fields_of(job: Job | ScheduledJob | Template) -> dict[str, str]:
    """Return the fields of a job as one would type them; of one that was submitted without `expires_in`."""
    return {
        "type": job.type,
        "payload": payload_text(job.payload),
        "priority": job.priority.value,
        "key": job.key or "",
        "max_attempts": "" if job.max_attempts is None else str(job.max_attempts),
        "timeout": length_text(job.timeout_s),
        # A submitted job has the moment alone.
        "expires_in": "" if isinstance(job, Job) else length_text(job.expires_in_s),
        "tags": tags_text(job.tags),
    }
