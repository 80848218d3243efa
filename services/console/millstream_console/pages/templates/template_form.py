"""The form for a new template, and for one that there is."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec.structs import replace

from millstream import ApiError, Client, NewJob, Template, Unique
from millstream_console.pages.field_faults import faults_of
from millstream_console.pages.typed_fields import FieldFaultError, length_of, length_text, payload_of
from millstream_console.pages.typed_job import PRIORITIES, TypedJob, fields_of, known_types
from millstream_console.web.toast import Toast
from millstream_console.web.visit import PageRequest, Visit
from millstream_contracts import Scope

NEW = "/new-template"
"""Not below /templates, where a template may have any name."""

_NOT_FOUND, _UNPROCESSABLE = 404, 422
_FIELDS = {"timeout_s": "timeout", "expires_in_s": "expires_in", "delay_s": "delay"}


class Typed(TypedJob, frozen=True, kw_only=True):
    """What stands in the fields, those of the jobs among them."""

    name: str = ""
    description: str = ""
    delay: str = ""
    """A length of time."""
    updated: str = ""
    """When the template had been changed that was read when the form was opened; empty for a new one."""


@get(NEW)
async def show_new(visit: Visit) -> Response[bytes]:
    """Show the form for a new template."""
    visit.require(Scope.TEMPLATES_MANAGE)
    return await _page(visit, Typed(type=visit.text("type")), None)


@post(NEW)
async def submit_new(visit: Visit) -> Response[bytes]:
    """Save a new template."""
    visit.require(Scope.TEMPLATES_MANAGE)
    typed = await _read(visit)
    return await _save(visit, typed, await _held(visit.client, typed.name), is_new=True)


@get("/templates/{name:str}/edit")
async def show_edit(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Show the form for a template that there is."""
    visit.require(Scope.TEMPLATES_MANAGE, Scope.PAYLOADS_READ)
    held = await visit.client.template(name)
    return await _page(visit, typed_of(held), held)


@post("/templates/{name:str}/edit")
async def submit_edit(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Save an edited template."""
    visit.require(Scope.TEMPLATES_MANAGE, Scope.PAYLOADS_READ)
    typed = replace(await _read(visit), name=name)
    return await _save(visit, typed, await visit.client.template(name), is_new=False)


async def _read(visit: PageRequest) -> Typed:
    form = await visit.form()
    return Typed(**{name: form.text(name) for name in Typed.__struct_fields__})


async def _held(client: Client, name: str) -> Template | None:
    """Return the template of a name that may be free, or be none. Raises: ApiError."""
    try:
        return await client.template(name) if name else None
    except ApiError as error:
        if error.problem.status not in {_NOT_FOUND, _UNPROCESSABLE}:
            raise
        return None


async def _save(visit: PageRequest, typed: Typed, held: Template | None, *, is_new: bool) -> Response[bytes]:
    shown = None if is_new else held
    if faults := _overtaken(typed, held, is_new=is_new):
        return await _page(visit, typed, shown, faults=faults)
    try:
        made = await visit.client.put_template(typed.name, _job_of(typed, shown), description=typed.description)
    except (ApiError, FieldFaultError, OverflowError, TypeError, ValueError) as error:
        return await _page(visit, typed, shown, faults=faults_of(error, _field_of))
    return visit.go(f"/templates/{made.name}", Toast(f"{made.name} is there." if is_new else "Saved."))


def _overtaken(typed: Typed, held: Template | None, *, is_new: bool) -> dict[str, str]:
    """Return why a form is not saved whose template is another one by now."""
    if is_new:
        taken = "There is a template of this name. Take another name, or edit that one."
        return {"name": taken} if held else {}
    if held is None or held.updated_at.isoformat() == typed.updated:
        return {}
    return {"": "The template was changed after this form was opened. Open it anew to see what it is now."}


def typed_of(template: Template) -> Typed:
    """Return a template as one would type it."""
    return Typed(
        **fields_of(template),
        name=template.name,
        description=template.description,
        delay=length_text(template.delay_s),
        updated=template.updated_at.isoformat(),
    )


def _job_of(typed: Typed, held: Template | None) -> NewJob:
    """Return what the template says. What a form has no field for is taken from the template that there is.

    Raises: FieldFaultError, TypeError for a payload that cannot be sent.
    """
    if not typed.name:
        raise FieldFaultError("name", "A template has a name, such as `nightly-report`.")
    if not typed.type:
        raise FieldFaultError("type", "A job has a type, such as `report.generate`.")
    options = typed.options()
    if typed.delay:
        options["delay"] = length_of("delay", typed.delay)
    if held:
        options |= {"backoff": held.backoff, "callback": held.callback, "unique": _unique_of(held)}
    return NewJob(typed.type, payload_of("payload", typed.payload), **options)


def _unique_of(held: Template) -> Unique | None:
    if (rule := held.unique) is None:
        return None
    return Unique(key=rule.key, scope=rule.scope, window=rule.window_s, on_conflict=rule.on_conflict)


def _field_of(pointer: str) -> tuple[str, str]:
    """Return the field of the form at a place of the definition, whose own place is that of the name."""
    field, _, inside = pointer.strip("#/").partition("/")
    field = _FIELDS.get(field, field) or "name"
    return (field, inside) if field in Typed.__struct_fields__ else ("", inside)


async def _page(
    visit: PageRequest, typed: Typed, held: Template | None, *, faults: Mapping[str, str] | None = None
) -> Response[bytes]:
    kept = [word for word, option in _kept(held) if option is not None]
    content = {
        "typed": typed,
        "held": held,
        "kept": kept,
        "faults": faults or {},
        "types": await known_types(visit.client),
        "priorities": PRIORITIES,
        "path": f"/templates/{held.name}/edit" if held else NEW,
    }
    return await visit.framed("template_form.html", content, "templates", status=_UNPROCESSABLE if faults else 200)


def _kept(held: Template | None) -> list[tuple[str, Any]]:
    """Return what the form has no field for, with its word."""
    if held is None:
        return []
    return [("backoff", held.backoff), ("callback", held.callback), ("unique key", held.unique)]


HANDLERS = (show_new, submit_new, show_edit, submit_edit)
