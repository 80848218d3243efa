"""The form by which a job is submitted: a new one, or one like another, edited."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Struct
from msgspec.structs import replace

from millstream import AccessError, ApiError, InvalidError, Job, UnavailableError
from millstream.errors import describe
from millstream_console.pages.typed_fields import (
    FieldFaultError,
    length_of,
    length_text,
    payload_of,
    payload_text,
    tags_of,
    tags_text,
    whole_number,
)
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Form, Visit
from millstream_contracts import Scope

_UNPROCESSABLE = 422
_PRIORITIES = ("high", "normal", "low")


class Draft(Struct, frozen=True):
    """A job as it is typed: text, so that what is wrong comes back as it was."""

    type: str = ""
    payload: str = "{}"
    priority: str = "normal"
    key: str = ""
    delay: str = ""
    """A length of time, as `length_of` reads it."""
    max_attempts: str = ""
    timeout: str = ""
    """A length of time too."""
    tags: str = ""
    """One a line, `name: value`."""
    after: str = ""
    """Ids of jobs to wait for, one a line."""


@get("/jobs/new")
async def show_new(visit: Visit) -> Response[bytes]:
    """Show the form for a new job."""
    visit.require(Scope.JOBS_SUBMIT)
    return await _page(visit, Draft(type=visit.text("type")), {}, None)


@get("/jobs/{job_id:str}/edit")
async def show_edit(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Show the form, filled in as a job was submitted."""
    visit.require(Scope.JOBS_SUBMIT, Scope.PAYLOADS_READ)
    return await _page(visit, draft_of(await visit.client.get(job_id)), {}, job_id)


@post("/jobs/new")
async def submit(visit: Visit) -> Response[bytes]:
    """Submit what was typed."""
    visit.require(Scope.JOBS_SUBMIT)
    form = await visit.form()
    draft, source = read_draft(form), form.text("source") or None
    try:
        payload, options = _parsed(draft)
        submitted = await visit.client.submit(draft.type, payload, **options)
    except FieldFaultError as error:
        return await _page(visit, draft, {error.field: str(error)}, source)
    except (AccessError, UnavailableError):
        raise
    except InvalidError as error:
        return await _page(visit, draft, _faults(error), source)
    except ApiError as error:
        return await _page(visit, draft, {"all": describe(error.problem)}, source)
    except (OverflowError, TypeError, ValueError) as error:
        return await _page(visit, draft, {"payload": str(error)}, source)
    return visit.go(f"/jobs/{submitted.id}", Toast("Submitted."))


def draft_of(job: Job) -> Draft:
    """Return a job as one would type it."""
    return Draft(
        type=job.type,
        payload=payload_text(job.payload),
        priority=job.priority.value,
        key=job.key or "",
        max_attempts="" if job.max_attempts is None else str(job.max_attempts),
        timeout=length_text(job.timeout_s),
        tags=tags_text(job.tags),
    )


def read_draft(form: Form) -> Draft:
    """Return what was typed."""
    typed = {name: form.text(name) for name in Draft.__struct_fields__}
    return replace(Draft(), **typed)


def _parsed(draft: Draft) -> tuple[Any, dict[str, Any]]:
    """Return the payload and the options. Raises: FieldFaultError."""
    if not draft.type:
        raise FieldFaultError("type", "A job has a type, such as email.send.")
    options: dict[str, Any] = {"priority": draft.priority if draft.priority in _PRIORITIES else "normal"}
    if draft.key:
        options["key"] = draft.key
    if draft.delay:
        options["delay"] = length_of("delay", draft.delay)
    if draft.timeout:
        options["timeout"] = length_of("timeout", draft.timeout)
    if draft.max_attempts:
        options["max_attempts"] = whole_number("max_attempts", draft.max_attempts)
    if draft.tags:
        options["tags"] = tags_of("tags", draft.tags)
    if draft.after.split():
        options["after"] = draft.after.split()
    return payload_of("payload", draft.payload), options


def _faults(error: InvalidError) -> dict[str, str]:
    """Return what the API says is wrong, by field of the form; of several in the payload all."""
    fields = {"delay_s": "delay", "timeout_s": "timeout"}
    faults: dict[str, str] = {}
    for fault in error.problem.errors:
        name, _, inside = fault.pointer.lstrip("/").partition("/")
        field = fields.get(name, name)
        field = field if field in Draft.__struct_fields__ else "all"
        place = f"`/{inside}`: " if inside and field != "all" else ""
        faults[field] = " ".join(filter(None, (faults.get(field), f"{place}{fault.detail}.")))
    return faults or {"all": describe(error.problem)}


async def _page(visit: Visit, draft: Draft, faults: Mapping[str, str], source: str | None) -> Response[bytes]:
    try:
        types = sorted(one.type for one in await visit.client.types())
    except ApiError:
        types = []
    content = {"draft": draft, "faults": faults, "source": source, "types": types, "priorities": _PRIORITIES}
    return await visit.framed("job_new.html", content, "jobs", status=_UNPROCESSABLE if faults else 200)


HANDLERS: tuple[Any, ...] = (show_new, show_edit, submit)
