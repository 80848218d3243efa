"""Keys: listed with their last use, made, given a successor, revoked."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import Client, InvalidError
from millstream.errors import describe
from millstream_console.live.view import Content, View
from millstream_console.pages.access.scope_words import SCOPE_WORDS
from millstream_console.pages.access.typed_key import LIFETIMES, OVERLAPS, TypedKey, read_typed
from millstream_console.pages.tenants.typed_tenant import shown_limits
from millstream_console.web.visit import PageRequest, Visit
from millstream_contracts import ROLE_SCOPES, Role, Scope, SecretApiKey

_PAGE = 100
_UNPROCESSABLE = 422


async def read_keys(client: Client, *, cursor: str) -> Content:
    """Return a page of keys."""
    page = await client.keys(cursor=cursor or None, limit=_PAGE)
    return {"api_keys": page.items, "cursor": cursor, "next_cursor": page.next_cursor}


async def read_key(client: Client, *, key_id: str) -> Content:
    """Return one key."""
    key = await client.key(key_id)
    return {"key": key, "words": SCOPE_WORDS, "overlaps": OVERLAPS, "bounds": shown_limits(key.limits)}


KEYS = View("keys.html", read_keys, "keys")
KEY = View("key.html", read_key, "keys")


@get("/keys")
async def show_keys(visit: Visit) -> Response[Any]:
    """Show the keys."""
    return await visit.show(KEYS, cursor=visit.text("cursor"))


@get("/keys/new")
async def show_new_key(visit: Visit) -> Response[bytes]:
    """Ask what a new key is for."""
    visit.require(Scope.KEYS_MANAGE)
    return await _form(visit, TypedKey(), {})


@post("/keys/new")
async def create_key(visit: Visit) -> Response[bytes]:
    """Make a key, and show its secret."""
    visit.require(Scope.KEYS_MANAGE)
    typed = read_typed(await visit.form())
    if faults := typed.faults:
        return await _form(visit, typed, faults)
    try:
        made = await visit.client.create_key(typed.name, expires_in=LIFETIMES[typed.lifetime][1], **typed.grant)
    except InvalidError as error:
        told = {one.pointer.strip("/").partition("/")[0]: one.detail for one in error.problem.errors}
        return await _form(visit, typed, told or {"": describe(error.problem)})
    return await _secret(visit, made, "new")


@get("/keys/{key_id:str}")
async def show_key(visit: Visit, key_id: FromPath[str]) -> Response[Any]:
    """Show one key."""
    return await visit.show(KEY, key_id=key_id)


@post("/keys/{key_id:str}/rotate")
async def rotate_key(visit: Visit, key_id: FromPath[str]) -> Response[bytes]:
    """Make the successor of a key, and show its secret."""
    chosen = (await visit.form()).text("overlap")
    overlap = OVERLAPS.get(chosen, OVERLAPS["1d"])[1]
    return await _secret(visit, await visit.client.rotate_key(key_id, overlap=overlap), "rotated")


@post("/keys/{key_id:str}/revoke")
async def revoke_key(visit: Visit, key_id: FromPath[str]) -> Response[bytes]:
    """Revoke a key."""
    return await visit.act(
        visit.client.revoke_key(key_id),
        back="/keys",
        done="The key is revoked. Every ingest refuses it, and its sessions, within five seconds.",
    )


async def _form(visit: PageRequest, typed: TypedKey, faults: dict[str, str]) -> Response[bytes]:
    content = {
        "typed": typed,
        "faults": faults,
        # No key can be made with more rights than one has.
        "roles": [role for role in Role if all(visit.may(scope) for scope in ROLE_SCOPES[role])],
        "scopes": [scope for scope in SCOPE_WORDS if visit.may(scope)],
        "words": SCOPE_WORDS,
        "lifetimes": LIFETIMES,
    }
    return await visit.framed("key_form.html", content, "keys", status=_UNPROCESSABLE if faults else 200)


async def _secret(visit: PageRequest, made: SecretApiKey, why: str) -> Response[bytes]:
    return await visit.framed("key_secret.html", {"made": made, "why": why}, "keys")


HANDLERS = (show_keys, show_new_key, create_key, show_key, rotate_key, revoke_key)
