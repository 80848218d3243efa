"""An OpenID provider on loopback for tests: it holds the console to the rules, and breaks its own on demand.

It signs with another library than ingest verifies with.
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from ingest.access.issuing import Key, key_of, signed
from sdk.handlers.receivers import answering

CLIENT = "console"
CLIENT_SECRET = "a secret with: signs & spaces"
Fields = dict[str, str]


@dataclass
class Request:
    """A request as it arrived."""

    method: str
    path: str
    query: Fields
    form: Fields
    headers: Fields


@dataclass
class Grant:
    """What a person has agreed to, and which code stands for it."""

    asked: Fields
    is_used: bool = False


@dataclass
class Provider:
    """A provider at which one person is known. Each field may be changed while it runs."""

    port: int = 0
    client_secret: str | None = CLIENT_SECRET
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "ann-1", "name": "Ann Example", "email": "ann@x.test", "groups": ["platform"]}
    )
    metadata: dict[str, Any] = field(default_factory=dict)
    """Fields in place of its own; None leaves one out."""
    answers: dict[str, Any] = field(default_factory=dict)
    """Fields in place of those of its next answers to the console; None leaves one out."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims in place of those of its next ID tokens; None leaves one out."""
    key: Key = field(default_factory=lambda: key_of("ES256", "provider"))
    published: list[Key] = field(default_factory=list)
    forged: Callable[[str], str] = lambda token: token
    """Makes of an ID token what is sent in its place."""
    asks: bool = False
    """Whether it shows a page before it answers, as people know it."""
    away: set[str] = field(default_factory=set)
    """Paths at which connections are cut."""
    replies: dict[str, bytes] = field(default_factory=dict)
    """What is answered at a path in place of what belongs there."""
    grants: dict[str, Grant] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """Return its name."""
        return f"http://127.0.0.1:{self.port}/realm"

    def asked_for(self, path: str) -> list[Request]:
        """Return the requests for a path."""
        return [one for one in self.requests if one.path == path]

    def answer(self, request: Request) -> bytes:
        """Answer a request."""
        self.requests.append(request)
        if request.path in self.replies:
            return self.replies[request.path]
        routes: dict[str, Callable[[Request], bytes]] = {
            "/realm/.well-known/openid-configuration": lambda _: _json({**self._metadata(), **self.metadata}),
            "/jwks": lambda _: _json({"keys": [one.as_dict(private=False) for one in self.published or [self.key]]}),
            "/authorize": self._authorize,
            "/agreed": lambda it: self._agree(it.form),
            "/token": self._exchange,
            "/end": self._end,
            "/favicon.ico": lambda _: answering(204),
        }
        return routes.get(request.path, lambda _: answering(404))(request)

    def _metadata(self) -> dict[str, Any]:
        base = f"http://127.0.0.1:{self.port}"
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{base}/authorize?tenant=1",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/jwks",
            "end_session_endpoint": f"{base}/end",
            "authorization_response_iss_parameter_supported": True,
            "code_challenge_methods_supported": ["S256"],
        }

    def _authorize(self, request: Request) -> bytes:
        asked = request.query
        fixed = {"tenant": "1", "response_type": "code", "client_id": CLIENT, "code_challenge_method": "S256"}
        wrong = [name for name, value in fixed.items() if asked.get(name) != value]
        wrong += [
            name for name in ("state", "nonce", "redirect_uri", "code_challenge") if len(asked.get(name, "")) < 20
        ]
        if wrong or "openid" not in asked["scope"].split():
            return answering(400, body=f"wrong: {wrong}")
        if not self.asks:
            return self._agree(asked)
        fields = "".join(f'<input type="hidden" name="{name}" value="{escape(asked[name])}">' for name in asked)
        page = f'<!doctype html><form method="post" action="/agreed">{fields}<button>Continue as Ann</button></form>'
        return answering(200, "content-type: text/html; charset=utf-8", body=page)

    def _agree(self, asked: Fields) -> bytes:
        code = secrets.token_urlsafe(16)
        self.grants[code] = Grant(asked)
        fields = {"code": code, "state": asked["state"], "iss": self.issuer, **self.answers}
        given = urlencode({name: value for name, value in fields.items() if value is not None})
        return answering(303, f"location: {asked['redirect_uri']}?{given}")

    def _exchange(self, request: Request) -> bytes:
        form, grant = request.form, self.grants.get(request.form.get("code", ""))
        if not self._is_client(request):
            return _json({"error": "invalid_client"}, 401)
        digest = base64.urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        is_good = grant is not None and not grant.is_used and form.get("grant_type") == "authorization_code"
        if grant is None or not is_good or grant.asked["code_challenge"] != digest.decode():
            return _json({"error": "invalid_grant", "error_description": "no such code"}, 400)
        if grant.asked["redirect_uri"] != form.get("redirect_uri"):
            return _json({"error": "invalid_grant"}, 400)
        grant.is_used = True
        return _json({"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(grant.asked["nonce"])})

    def id_token(self, nonce: str) -> str:
        """Return an ID token of the person."""
        now = int(time.time())
        fixed = {"iss": self.issuer, "aud": CLIENT, "azp": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce}
        claims = {**fixed, **self.person, **self.claims}
        return self.forged(signed(json.dumps({name: one for name, one in claims.items() if one is not None}), self.key))

    def _is_client(self, request: Request) -> bool:
        form, header = request.form, request.headers.get("authorization", "")
        if self.client_secret is None:
            return form.get("client_id") == CLIENT and "client_secret" not in form and not header
        if header.startswith("Basic "):
            user, _, password = base64.b64decode(header[6:]).decode().partition(":")
            return (unquote_plus(user), unquote_plus(password)) == (CLIENT, self.client_secret)
        return (form.get("client_id"), form.get("client_secret")) == (CLIENT, self.client_secret)

    def _end(self, request: Request) -> bytes:
        if request.query.get("client_id") != CLIENT:
            return answering(400)
        return answering(303, f"location: {request.query['post_logout_redirect_uri']}")


def _json(value: dict[str, Any], status: int = 200) -> bytes:
    kept = {name: one for name, one in value.items() if one is not None}
    return answering(status, "content-type: application/json", body=json.dumps(kept))


@asynccontextmanager
async def providing(provider: Provider | None = None) -> AsyncIterator[Provider]:
    """Run a provider on a free port."""
    running = provider or Provider()
    open_ones: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.add(writer)
        try:
            while request := await _request(reader):
                if request.path in running.away:
                    break
                writer.write(running.answer(request))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            open_ones.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        for writer in tuple(open_ones):
            writer.close()
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> Request | None:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    line, *lines = text.strip().split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
    parsed = urlsplit(target)
    return Request(method, parsed.path, dict(parse_qsl(parsed.query)), dict(parse_qsl(body)), headers)
