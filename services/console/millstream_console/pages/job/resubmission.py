"""The form by which a job is submitted: a new one, or one like another, edited."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec.structs import replace

from millstream import AccessError, ApiError, UnavailableError
from millstream_console.pages.field_faults import faults_of
from millstream_console.pages.typed_fields import (
    FieldFaultError,
    length_of,
    length_text,
    payload_of,
)
from millstream_console.pages.typed_job import PRIORITIES, TypedJob, fields_of, known_types
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Form, Visit
from millstream_contracts import Scope

_UNPROCESSABLE = 422


class Draft(TypedJob, frozen=True, kw_only=True):
    """A job as it is typed."""

    delay: str = ""
    """A length of time, as `length_of` reads it."""
    after: str = ""
    """Ids of jobs to wait for, one a line."""


@get("/jobs/new")
async def show_new(visit: Visit) -> Response[bytes]:
    """Show the form for a new job, filled in as a template says where one is named."""
    visit.require(Scope.JOBS_SUBMIT)
    if not (template := visit.text("template")):
        return await _page(visit, Draft(type=visit.text("type")), {}, None)
    visit.require(Scope.PAYLOADS_READ)
    found = await visit.client.template(template)
    return await _page(visit, Draft(**fields_of(found), delay=length_text(found.delay_s)), {}, None)


@get("/jobs/{job_id:str}/edit")
async def show_edit(visit: Visit, job_id: FromPath[str]) -> Response[bytes]:
    """Show the form, filled in as a job was submitted."""
    visit.require(Scope.JOBS_SUBMIT, Scope.PAYLOADS_READ)
    return await _page(visit, Draft(**fields_of(await visit.client.get(job_id))), {}, job_id)


@post("/jobs/new")
async def submit(visit: Visit) -> Response[bytes]:
    """Submit what was typed."""
    visit.require(Scope.JOBS_SUBMIT)
    form = await visit.form()
    draft, source = read_draft(form), form.text("source") or None
    try:
        payload, options = _parsed(draft)
        submitted = await visit.client.submit(draft.type, payload, **options)
    except (AccessError, UnavailableError):
        raise
    except (ApiError, FieldFaultError, OverflowError, TypeError, ValueError) as error:
        return await _page(visit, draft, faults_of(error, _field_of), source)
    return visit.go(f"/jobs/{submitted.id}", Toast("Submitted."))


def read_draft(form: Form) -> Draft:
    """Return what was typed."""
    typed = {name: form.text(name) for name in Draft.__struct_fields__}
    return replace(Draft(), **typed)


def _parsed(draft: Draft) -> tuple[Any, dict[str, Any]]:
    """Return the payload and the options. Raises: FieldFaultError."""
    if not draft.type:
        raise FieldFaultError("type", "A job has a type, such as email.send.")
    options = draft.options()
    if draft.delay:
        options["delay"] = length_of("delay", draft.delay)
    if draft.after.split():
        options["after"] = draft.after.split()
    return payload_of("payload", draft.payload), options


def _field_of(pointer: str) -> tuple[str, str]:
    name, _, inside = pointer.strip("#/").partition("/")
    field = {"delay_s": "delay", "timeout_s": "timeout", "expires_in_s": "expires_in"}.get(name, name)
    return (field, inside) if field in Draft.__struct_fields__ else ("", inside)


async def _page(visit: Visit, draft: Draft, faults: Mapping[str, str], source: str | None) -> Response[bytes]:
    content = {
        "draft": draft,
        "faults": faults,
        "source": source,
        "types": await known_types(visit.client),
        "priorities": PRIORITIES,
    }
    return await visit.framed("job_new.html", content, "jobs", status=_UNPROCESSABLE if faults else 200)


HANDLERS: tuple[Any, ...] = (show_new, show_edit, submit)
