"""The form by which a job is submitted: a new one, or one like another, edited."""

import json
from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Struct
from msgspec.structs import replace

from millstream import ApiError, InvalidError, Job, UnavailableError
from millstream.errors import describe
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Form, Visit

_UNPROCESSABLE = 422
_PRIORITIES = ("high", "normal", "low")


class Draft(Struct, frozen=True):
    """A job as it is typed: text, so that what is wrong comes back as it was."""

    type: str = ""
    payload: str = "{}"
    priority: str = "normal"
    delay: str = ""
    """In seconds."""
    max_attempts: str = ""
    timeout: str = ""
    """In seconds."""
    tags: str = ""
    """One a line, `name: value`."""
    after: str = ""
    """Ids of jobs to wait for, one a line."""


class DraftError(Exception):
    """A field cannot be read."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@get("/jobs/new")
async def show_new(visit: Visit) -> Response[bytes]:
    """Show the form for a new job."""
    return await _page(visit, Draft(type=visit.text("type")), {}, None)


@get("/jobs/{job_id:str}/edit")
async def show_edit(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Show the form, filled in as a job was submitted."""
    return await _page(visit, draft_of(await visit.client.get(job_id)), {}, job_id)


@post("/jobs/new")
async def submit(visit: Visit) -> Response[bytes]:
    """Submit what was typed."""
    form = await visit.form()
    draft, source = read_draft(form), form.text("source") or None
    try:
        payload, options = _parsed(draft)
        submitted = await visit.client.submit(draft.type, payload, **options)
    except DraftError as error:
        return await _page(visit, draft, {error.field: str(error)}, source)
    except UnavailableError:
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
        payload=json.dumps(job.payload, ensure_ascii=False, indent=2, default=str),
        priority=job.priority.value,
        max_attempts="" if job.max_attempts is None else str(job.max_attempts),
        timeout="" if job.timeout_s is None else f"{job.timeout_s:g}",
        tags="\n".join(f"{name}: {value}" for name, value in sorted((job.tags or {}).items())),
    )


def read_draft(form: Form) -> Draft:
    """Return what was typed."""
    typed = {name: form.text(name) for name in Draft.__struct_fields__}
    return replace(Draft(), **typed)


def _parsed(draft: Draft) -> tuple[Any, dict[str, Any]]:
    """Return the payload and the options. Raises: DraftError."""
    if not draft.type:
        raise DraftError("type", "A job has a type, such as email.send.")
    options: dict[str, Any] = {"priority": draft.priority if draft.priority in _PRIORITIES else "normal"}
    if draft.delay:
        options["delay"] = _number(draft, "delay")
    if draft.timeout:
        options["timeout"] = _number(draft, "timeout")
    if draft.max_attempts:
        options["max_attempts"] = int(_number(draft, "max_attempts"))
    if draft.tags:
        options["tags"] = _tags(draft.tags)
    if draft.after.split():
        options["after"] = draft.after.split()
    return _payload(draft.payload), options


def _payload(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant) if text else None
    except RecursionError:
        raise DraftError("payload", "It is nested too deeply.") from None
    except ValueError as error:
        raise DraftError("payload", f"This is no JSON: {error}.") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _number(draft: Draft, field: str) -> float:
    text: str = getattr(draft, field)
    try:
        value = float(text)
    except ValueError:
        raise DraftError(field, f"Expected a number, got `{text}`.") from None
    if field == "max_attempts" and value != int(value):
        raise DraftError(field, f"Expected a whole number, got `{text}`.")
    return value


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise DraftError("tags", f"Expected `name: value` on each line, got `{line}`.")
        tags[name.strip()] = value.strip()
    return tags


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
