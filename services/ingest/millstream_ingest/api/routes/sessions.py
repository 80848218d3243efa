"""Sessions: a credential for hours, in place of a key."""

from datetime import UTC, datetime

from msgspec.structs import asdict

from millstream_contracts import ROLE_SCOPES, NewSession, Role, Scope, SecretSession, Session, SessionPage
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import Content, Example, Operation, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, read, remove
from millstream_ingest.http.problems import INVALID_REQUEST, SESSION_NOT_FOUND, STORE_FULL, WRONG_STATE
from millstream_ingest.http.response import Response

_TAG = "Sessions"
_ONE = "/v1/sessions/{session_id}"

_EXAMPLE = Session(
    id="3nW8xQbT",
    key_id="7Kq2vXbA",
    name="ann",
    role=Role.VIEWER,
    scopes=sorted(ROLE_SCOPES[Role.VIEWER]),
    created_at=datetime(2026, 11, 28, 8, 0, tzinfo=UTC),
    expires_at=datetime(2026, 11, 28, 20, 0, tzinfo=UTC),
)
_SECRET = SecretSession(**asdict(_EXAMPLE), token="ms_3nW8xQbT_(shown once)")  # noqa: S106
_SESSION = Content(
    model=Session, description="The session, without its token", examples={"session": Example("A session", _EXAMPLE)}
)

OPEN = Operation(
    id="openSession",
    tag=_TAG,
    summary="Open a session",
    description="Exchanges the credential of the request for a short-lived token with the same rights, which works in "
    "its place: 12 hours at most, and never longer than the key or token. A session opens no other one. An ID token "
    "of an OpenID provider opens one with the `nonce_secret` of its sign-in, which may outlast the token.",
    body=Content(
        model=NewSession,
        examples={"hour": Example("For an hour", {"expires_in_s": 3_600}), "whole": Example("For 12 hours", {})},
    ),
    answers={
        201: Content(
            model=SecretSession,
            description="The session with its token, which is shown this once",
            examples={"session": Example("A new session", _SECRET)},
            headers={"Location": "Path of the session"},
        )
    },
    problems=(INVALID_REQUEST, WRONG_STATE, STORE_FULL),
)
LIST = Operation(
    id="listSessions",
    tag=_TAG,
    summary="List who is signed in",
    description="The sessions that work, by id.",
    query=listing(),
    answers={
        200: Content(
            model=SessionPage,
            description="A page",
            examples={"sessions": Example("Sessions", SessionPage(items=[_EXAMPLE]))},
        )
    },
)
GET = Operation(
    id="getSession", tag=_TAG, summary="Read a session", answers={200: _SESSION}, problems=(SESSION_NOT_FOUND,)
)
END = Operation(
    id="endSession",
    tag=_TAG,
    summary="End a session",
    description="Every ingest refuses it within five seconds, and ends the streams that were opened with it.",
    answers={200: _SESSION},
    problems=(SESSION_NOT_FOUND,),
)
END_CURRENT = Operation(
    id="endCurrentSession",
    tag=_TAG,
    summary="Sign out",
    description="Ends the session that the request is made with.",
    answers={200: _SESSION},
    problems=(SESSION_NOT_FOUND,),
)


@act("/v1/sessions", OPEN, Scope.AUTHENTICATED)
async def open_session(request: ApiRequest) -> Response:
    """Open a session."""
    request.read_query()
    asked = await request.read_as(NewSession)
    opened = await request.services.session_desk.open(request.principal, asked)
    # What is shown once must not stay in a cache on the way.
    return Response(opened, 201, {"Location": f"/v1/sessions/{opened.id}", "Cache-Control": "no-store"})


@read("/v1/sessions", LIST, Scope.KEYS_MANAGE)
async def list_sessions(request: ApiRequest) -> Response:
    """List sessions."""
    query = request.read_query(("cursor", "limit"))
    page = await request.services.session_desk.page(request.tenant, cursor=query.cursor, limit=query.limit)
    return listing_response(request, query, page, page.next_cursor)


@remove("/v1/sessions/current", END_CURRENT, Scope.AUTHENTICATED)
async def end_current_session(request: ApiRequest) -> Response:
    """Sign out."""
    request.read_query()
    return Response(await request.services.session_desk.end_current(request.principal))


@read(_ONE, GET, Scope.KEYS_MANAGE)
async def get_session(request: ApiRequest, session_id: str) -> Response:
    """Read a session."""
    request.read_query()
    return Response(await request.services.session_desk.find(request.tenant, session_id))


@remove(_ONE, END, Scope.KEYS_MANAGE)
async def end_session(request: ApiRequest, session_id: str) -> Response:
    """End a session."""
    request.read_query()
    return Response(await request.services.session_desk.end(request.tenant, session_id))


ROUTES = (open_session, list_sessions, end_current_session, get_session, end_session)
