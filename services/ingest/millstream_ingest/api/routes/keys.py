"""Keys of the API, and who asks."""

from datetime import UTC, datetime

from msgspec.structs import asdict

from millstream_contracts import (
    ROLE_SCOPES,
    ApiKey,
    ApiKeyChange,
    ApiKeyPage,
    KeyRotation,
    NewApiKey,
    PrincipalInfo,
    Role,
    Scope,
    SecretApiKey,
)
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import Content, Example, Operation, Parameter, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, change, read, remove
from millstream_ingest.http.problems import INVALID_REQUEST, KEY_NOT_FOUND, QUOTA_REACHED, STORE_FULL, WRONG_STATE
from millstream_ingest.http.response import Response

_TAG = "Keys"
_ONE = "/v1/keys/{key_id}"
_SCOPES = sorted(ROLE_SCOPES[Role.SUBMITTER])
_AT = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)

_EXAMPLE = ApiKey(
    id="7Kq2vXbA", name="web shop", role=Role.SUBMITTER, scopes=_SCOPES, created_at=_AT, created_by="Wm3kP0sZ"
)
_SECRET = SecretApiKey(**asdict(_EXAMPLE), key="ms_7Kq2vXbA_(shown once)")
_KEY = Content(model=ApiKey, description="The key, without its secret", examples={"key": Example("A key", _EXAMPLE)})
_NEW_KEY = Content(
    model=SecretApiKey,
    description="The key with its secret, which is shown this once",
    examples={"key": Example("A new key", _SECRET)},
    headers={"Location": "Path of the key"},
)

LIST = Operation(
    id="listKeys",
    tag=_TAG,
    summary="List keys",
    description="By id, without their secrets, of which only hashes are kept.",
    query=(
        Parameter("tenant", "The tenant whose keys are listed, for those who manage tenants", example="acme"),
        *listing(),
    ),
    problems=(INVALID_REQUEST,),
    answers={
        200: Content(
            model=ApiKeyPage, description="A page", examples={"keys": Example("Keys", ApiKeyPage(items=[_EXAMPLE]))}
        )
    },
)
CREATE = Operation(
    id="createKey",
    tag=_TAG,
    summary="Make a key",
    description="With a role, or with scopes of its own. No key can grant what it does not have itself. A key that "
    "manages tenants can make keys for other tenants, in which `tenants:manage` counts for nothing.",
    body=Content(
        model=NewApiKey,
        examples={"submitter": Example("For a program that submits", {"name": "web shop", "role": "submitter"})},
    ),
    answers={201: _NEW_KEY},
    problems=(INVALID_REQUEST, QUOTA_REACHED, STORE_FULL),
)
GET = Operation(id="getKey", tag=_TAG, summary="Read a key", answers={200: _KEY}, problems=(KEY_NOT_FOUND,))
CHANGE = Operation(
    id="changeKey",
    tag=_TAG,
    summary="Change the limits of a key",
    description="They count at every ingest within five seconds. What is left out of `limits` follows the settings.",
    body=Content(
        model=ApiKeyChange,
        examples={
            "limits": Example("A hundred jobs a second", {"limits": {"submissions_per_s": 100, "burst": 200}}),
            "none": Example("No limits of its own", {"limits": {}}),
        },
    ),
    answers={200: _KEY},
    problems=(INVALID_REQUEST, KEY_NOT_FOUND, WRONG_STATE, STORE_FULL),
)
REVOKE = Operation(
    id="revokeKey",
    tag=_TAG,
    summary="Revoke a key",
    description="Every ingest refuses it within five seconds, and ends the streams that were opened with it.",
    answers={200: _KEY},
    problems=(KEY_NOT_FOUND,),
)
ROTATE = Operation(
    id="rotateKey",
    tag=_TAG,
    summary="Give a key a successor",
    description="Both work until `overlap_s` is over. The successor has the rights of the key.",
    body=Content(model=KeyRotation, examples={"day": Example("Both work for a day", {"overlap_s": 86_400})}),
    answers={201: _NEW_KEY},
    problems=(INVALID_REQUEST, KEY_NOT_FOUND, WRONG_STATE, STORE_FULL),
)
ME = Operation(
    id="getPrincipal",
    tag=_TAG,
    summary="Read who asks",
    description="What ingest makes of the credential of this request.",
    answers={
        200: Content(
            model=PrincipalInfo,
            description="The principal",
            examples={
                "submitter": Example(
                    "A submitter",
                    PrincipalInfo(
                        tenant="default", scopes=_SCOPES, role=Role.SUBMITTER, key_id="7Kq2vXbA", name="web shop"
                    ),
                )
            },
        )
    },
)


@read("/v1/keys", LIST, Scope.KEYS_MANAGE)
async def list_keys(request: ApiRequest) -> Response:
    """List keys."""
    query = request.read_query(("tenant", "cursor", "limit"))
    asked = query.values.get("tenant")
    page = await request.services.key_desk.page(request.principal, asked, cursor=query.cursor, limit=query.limit)
    return listing_response(request, query, page, page.next_cursor)


@act("/v1/keys", CREATE, Scope.KEYS_MANAGE)
async def create_key(request: ApiRequest) -> Response:
    """Make a key."""
    request.read_query()
    asked = await request.read_as(NewApiKey)
    return _made(await request.services.key_desk.create(request.principal, asked))


@read(_ONE, GET, Scope.KEYS_MANAGE)
async def get_key(request: ApiRequest, key_id: str) -> Response:
    """Read a key."""
    request.read_query()
    return Response(await request.services.key_desk.find(request.principal, key_id))


@change(_ONE, CHANGE, Scope.KEYS_MANAGE)
async def change_key(request: ApiRequest, key_id: str) -> Response:
    """Change the limits of a key."""
    request.read_query()
    asked = await request.read_as(ApiKeyChange)
    return Response(await request.services.key_desk.change(request.principal, key_id, asked))


@remove(_ONE, REVOKE, Scope.KEYS_MANAGE)
async def revoke_key(request: ApiRequest, key_id: str) -> Response:
    """Revoke a key."""
    request.read_query()
    return Response(await request.services.key_desk.revoke(request.principal, key_id))


@act(f"{_ONE}/rotate", ROTATE, Scope.KEYS_MANAGE)
async def rotate_key(request: ApiRequest, key_id: str) -> Response:
    """Give a key a successor."""
    request.read_query()
    asked = await request.read_as(KeyRotation)
    return _made(await request.services.key_desk.rotate(request.principal, key_id, asked))


@read("/v1/me", ME, Scope.AUTHENTICATED)
async def get_principal(request: ApiRequest) -> Response:
    """Read who asks."""
    request.read_query()
    return Response(request.principal.info)


def _made(key: SecretApiKey) -> Response:
    # What is shown once must not stay in a cache on the way.
    return Response(key, 201, {"Location": f"/v1/keys/{key.id}", "Cache-Control": "no-store"})


ROUTES = (list_keys, create_key, get_key, change_key, revoke_key, rotate_key, get_principal)
