"""The list of tenants, one tenant, and the form of both a new and a changed one."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from millstream import AccessError, ApiError, Client, ConflictError, InvalidError, UnavailableError
from millstream.errors import describe
from millstream_console.live.view import Content, View
from millstream_console.pages.tenants.typed_tenant import (
    ENCRYPTION_WORDS,
    LIMIT_WORDS,
    QUOTA_WORDS,
    TypedTenant,
    arguments_of,
    bounds_of,
    typed_as,
    typed_tenant,
)
from millstream_console.web.toast import Toast
from millstream_console.web.visit import PageRequest, Visit
from millstream_contracts import DEFAULT_TENANT, Scope

_PAGE = 100
_UNPROCESSABLE = 422


async def read_tenants(client: Client, *, cursor: str) -> Content:
    """Return a page of tenants."""
    page = await client.tenants(cursor=cursor or None, limit=_PAGE)
    return {"tenants": page.items, "cursor": cursor, "next_cursor": page.next_cursor, "bounds_of": bounds_of}


async def read_tenant(client: Client, *, name: str) -> Content:
    """Return one tenant."""
    tenant = await client.tenant(name)
    return {
        "tenant": tenant,
        "bounds": bounds_of(tenant),
        "is_operator": name == DEFAULT_TENANT,
        "encryption": ENCRYPTION_WORDS[tenant.encryption],
    }


TENANTS = View("tenants.html", read_tenants, "tenants")
TENANT = View("tenant.html", read_tenant, "tenants")


@get("/tenants")
async def show_tenants(visit: Visit) -> Response[Any]:
    """Show the tenants."""
    return await visit.show(TENANTS, cursor=visit.text("cursor"))


@get("/new-tenant")
async def show_new_tenant(visit: Visit) -> Response[bytes]:
    """Ask for a new tenant."""
    visit.require(Scope.TENANTS_MANAGE)
    return await _form(visit, TypedTenant(), {}, is_new=True)


@post("/new-tenant")
async def create_tenant(visit: Visit) -> Response[bytes]:
    """Make a tenant."""
    visit.require(Scope.TENANTS_MANAGE)
    typed = typed_tenant(await visit.form())
    try:
        asked = typed.read()
        made = await visit.client.create_tenant(asked.name, **arguments_of(asked))
    except (msgspec.ValidationError, InvalidError, ConflictError) as error:
        return await _form(visit, typed, _faults(error), is_new=True)
    return visit.go(f"/tenants/{made.name}", Toast("The tenant is made. It needs a key next."))


@get("/tenants/{name:str}")
async def show_tenant(visit: Visit, name: FromPath[str]) -> Response[Any]:
    """Show one tenant."""
    return await visit.show(TENANT, name=name)


@get("/tenants/{name:str}/edit")
async def show_edited(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Ask what is to be another of a tenant."""
    visit.require(Scope.TENANTS_MANAGE)
    return await _form(visit, typed_as(await visit.client.tenant(name)), {}, is_new=False)


@post("/tenants/{name:str}/edit")
async def change_tenant(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Change a tenant."""
    visit.require(Scope.TENANTS_MANAGE)
    typed = typed_tenant(await visit.form(), name)
    try:
        asked = typed.read()
        await visit.client.change_tenant(name, **arguments_of(asked))
    except (msgspec.ValidationError, InvalidError, ConflictError) as error:
        return await _form(visit, typed, _faults(error), is_new=False)
    return visit.go(f"/tenants/{name}", Toast("It is changed. Every ingest knows within five seconds."))


@post("/tenants/{name:str}/suspend")
async def suspend_tenant(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Suspend a tenant."""
    reason = (await visit.form()).text("reason")
    return await visit.act(
        visit.client.suspend_tenant(name, reason=reason),
        back=f"/tenants/{name}",
        done="It is suspended: no job of it starts. What runs is finished.",
    )


@post("/tenants/{name:str}/resume")
async def resume_tenant(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Let a suspended tenant go on."""
    return await visit.act(visit.client.resume_tenant(name), back=f"/tenants/{name}", done="It goes on.")


@post("/tenants/{name:str}/delete")
async def delete_tenant(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Delete a tenant, where its name was typed once more, and show how far that is."""
    visit.require(Scope.TENANTS_MANAGE)
    typed = (await visit.form()).text("confirm")
    if typed.strip() != name:
        return visit.go(f"/tenants/{name}", Toast(f"Nothing is deleted: type {name} to confirm.", "b"))
    try:
        begun = await visit.client.delete_tenant(name, confirm=name)
    except (AccessError, UnavailableError):
        raise
    except ApiError as error:
        return visit.go(f"/tenants/{name}", Toast(describe(error.problem), "b"))
    return visit.go(f"/operations/{begun.id}", Toast("Its keys are revoked, and its queues closed."))


async def _form(visit: PageRequest, typed: TypedTenant, faults: dict[str, str], *, is_new: bool) -> Response[bytes]:
    content = {
        "typed": typed,
        "faults": faults,
        "is_new": is_new,
        "quotas": QUOTA_WORDS,
        "limits": LIMIT_WORDS,
        "encryptions": ENCRYPTION_WORDS,
    }
    return await visit.framed("tenant_form.html", content, "tenants", status=_UNPROCESSABLE if faults else 200)


def _faults(error: msgspec.ValidationError | InvalidError | ConflictError) -> dict[str, str]:
    """Return what is wrong with the form, by field; what is of no field under an empty name."""
    if isinstance(error, InvalidError):
        found = {one.pointer.rpartition("/")[2]: one.detail for one in error.problem.errors}
        return found or {"": describe(error.problem)}
    if isinstance(error, ConflictError):
        return {"": describe(error.problem)}
    told, _, path = str(error).partition(" - at `$.")
    return {path.rstrip("`").rpartition(".")[2]: told}


HANDLERS = (
    show_tenants,
    show_new_tenant,
    create_tenant,
    show_tenant,
    show_edited,
    change_tenant,
    suspend_tenant,
    resume_tenant,
    delete_tenant,
)
