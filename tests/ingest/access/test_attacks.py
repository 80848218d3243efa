"""Requests that are made to be misread: paths and headers past the endpoint, two lengths, bombs and forged lines."""

import asyncio
import gzip
import hashlib
import hmac
import json
import zlib
from urllib.parse import quote

import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, problem

from millstream_contracts import MintedKey, Role
from millstream_ingest.access import gate
from millstream_streams import Broker

BOMB = b"[" + b"0," * (8 << 20) + b"0]"
"""Sixteen MB that compress to some kB."""


async def answers(ingest: Ingest, request: bytes) -> bytes:
    """Send bytes as they are, and return all that is answered until the connection is closed or silent."""
    url = ingest.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    received = b""
    try:
        writer.write(request)
        await writer.drain()
        while True:
            piece = await asyncio.wait_for(reader.read(65_536), 2.0)
            if not piece:
                return received
            received += piece
    except (TimeoutError, ConnectionError):
        return received
    finally:
        writer.close()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/../keys",
        "/v1/%2e%2e/v1/keys",
        "//v1/keys",
        "/v1//keys",
        "/v1/keys/",
        "/v1/keys;a=b",
        "/v1/keys%00",
        "/V1/KEYS",
        "/livez/../v1/keys",
        "/livez;/v1/keys",
        "/openapi.json/../v1/keys",
        "/v1/keys?x=/livez",
        "/v1/keys%2f..%2f..%2flivez",
    ],
)
async def test_no_spelling_of_a_path_gets_past_the_endpoint(ingest: Ingest, admin: MintedKey, path: str) -> None:
    """However a path is spelled, without a key nothing of the keys is told."""
    received = await answers(ingest, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    status = int(received.split(b" ")[1])
    assert status in {400, 401, 404}, received
    assert admin.id.encode() not in received


@pytest.mark.parametrize(
    "name",
    [
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Forwarded-User",
        "X-HTTP-Method-Override",
        "X-Millstream-Tenant",
        "X-Tenant",
    ],
)
async def test_no_header_says_who_asks_or_for_what(ingest: Ingest, give: Give, broker: Broker, name: str) -> None:
    """Of a request its line and its credential count: no other header names a path, a method, a user or a tenant."""
    viewer = await give(Role.VIEWER)
    for value in ("/livez", "DELETE", "admin", "acme"):
        refused = await ingest.http.get("/v1/keys", headers={**bearer(viewer), name: value})
        problem(refused, 403, "forbidden")
        me = await ingest.http.get("/v1/me", headers={**bearer(viewer), name: value})
        assert (me.json()["tenant"], me.json()["role"]) == ("default", "viewer")
        problem(await ingest.http.get("/v1/me", headers={name: value}), 401, "unauthenticated")


async def test_two_credentials_are_none(ingest: Ingest, give: Give, admin: MintedKey) -> None:
    """Where a proxy may have read the first of two credentials and ingest the last, neither counts."""
    viewer = await give(Role.VIEWER)
    for first, second in ((viewer, admin), (admin, viewer), (admin, admin)):
        headers = [("Authorization", f"Bearer {first.text}"), ("Authorization", f"Bearer {second.text}")]
        problem(await ingest.http.get("/v1/keys", headers=headers), 401, "unauthenticated")


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 4\r\nContent-Length: 60\r\n",
        b"Content-Length: 4, 60\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
    ],
)
async def test_request_with_two_lengths_hides_no_other(
    ingest: Ingest, admin: MintedKey, broker: Broker, lengths: bytes
) -> None:
    """A request whose end two programs may see at two places is not followed by one that is hidden in it."""
    hidden = b"DELETE /v1/keys/" + admin.id.encode() + b" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
    hidden += admin.text.encode() + b"\r\n\r\n"
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + lengths + b"\r\n"
    await answers(ingest, head + b"0\r\n\r\n" + hidden)
    assert await broker.api_keys.get(admin.id) is not None
    # By itself it would have been obeyed.
    assert (await answers(ingest, hidden)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"])
async def test_bomb_is_refused_unread(ingest: Ingest, admin: MintedKey, encoding: str) -> None:
    """A compressed body is refused by its header, before a byte of it is unpacked; one that lies is no JSON."""
    packed = gzip.compress(BOMB) if "gzip" in encoding else zlib.compress(BOMB)
    headers = {**bearer(admin), "Content-Type": "application/json"}
    for path in ("/v1/jobs", "/v1/keys", "/v1/workflows", "/v1/operations"):
        response = await ingest.http.post(path, content=packed, headers={**headers, "Content-Encoding": encoding})
        problem(response, 415, "unsupported-media-type")
        problem(await ingest.http.post(path, content=packed, headers=headers), 400, "malformed-body")


async def test_no_text_of_a_client_begins_a_log_line(
    ingest: Ingest, admin: MintedKey, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever stands in a path, a query, a header or a body, a log line about it is one line, and without colours."""
    forged = "x\r\n2026-11-28 00:00:00 [error    ] forged\x1b[31m\u2028forged"
    headers = {**bearer(admin), "X-Request-Id": forged.replace("\r\n", " ").encode("latin-1", "replace")}
    capsys.readouterr()
    await ingest.http.get(f"/v1/keys/{quote(forged, safe='')}", headers=headers)
    await ingest.http.get("/v1/jobs", params={"q": forged}, headers=headers)
    await ingest.http.post("/v1/queues/email.send/pause", params={"reason": forged}, headers=headers)
    await ingest.http.post("/v1/jobs", content=json.dumps({"type": forged, "payload": forged}), headers=headers)
    for line in capsys.readouterr().out.splitlines():
        assert not line.startswith("2026-11-28 00:00:00 [error    ] forged")
        assert "\x1b[31m" not in line


async def test_time_of_a_look_up_tells_nothing_of_a_secret(
    ingest: Ingest, admin: MintedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that is wrong in its first, its last or no character is compared once, as a hash, in constant time."""
    compared: list[tuple[int, int]] = []

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(gate, "compare_digest", noted)
    first = len("ms_") + len(admin.id) + 1
    for at, status in ((first, 401), (-1, 401), (None, 200)):
        text = list(admin.text)
        if at is not None:
            text[at] = "0" if text[at] != "0" else "1"
        compared.clear()
        assert (await ingest.http.get("/v1/me", headers=bearer("".join(text)))).status_code == status
        assert compared == [(hashlib.sha256().digest_size,) * 2], at


async def test_no_answer_is_taken_for_something_else(ingest: Ingest, admin: MintedKey) -> None:
    """Browsers are told to take answers, refusals, pages and streams for what they say they are."""
    for path, status in (
        ("/v1/me", 200),
        ("/v1/keys/a", 404),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/metrics", 200),
    ):
        response = await ingest.http.get(path, headers=bearer(admin))
        assert (response.status_code, response.headers["x-content-type-options"]) == (status, "nosniff"), path
    async with ingest.http.stream("GET", "/v1/events", headers=bearer(admin)) as stream:
        assert stream.headers["x-content-type-options"] == "nosniff"
