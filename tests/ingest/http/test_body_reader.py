"""The body reader bounds the size, the time and the memory of request bodies."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from millstream_ingest.http import body_reader
from millstream_ingest.http.body_reader import BODIES_IN_HAND, BodyReader
from millstream_ingest.http.errors import IngestError

LIMIT = 100


def sender(*parts: bytes, ends: bool = True) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return the `receive` of a client that sends these parts, and then nothing or the end."""
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or not ends}

    return receive


async def refused(reader: BodyReader, receive: Callable[[], Awaitable[Any]], **headers: str) -> int:
    """Return the status with which a body is refused."""
    with pytest.raises(IngestError) as caught:
        await reader.read(
            {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}, receive, LIMIT
        )
    return caught.value.status


async def test_a_body_in_parts_is_joined():
    """The parts of a body are joined."""
    assert await BodyReader(LIMIT).read({}, sender(b"a" * 60, b"b" * 40), LIMIT) == b"a" * 60 + b"b" * 40


async def test_a_body_that_stalls_is_refused(monkeypatch: pytest.MonkeyPatch):
    """A body that stalls is refused, and frees its connection and memory."""
    monkeypatch.setattr(body_reader, "STALLED_AFTER_S", 0.01)
    assert await refused(BodyReader(LIMIT), sender(b"a", ends=False)) == 408


async def test_bodies_that_take_all_the_room_keep_others_out_until_they_are_done(monkeypatch: pytest.MonkeyPatch):
    """Bodies beyond the total bound are refused until others are done, however many connections there are."""
    monkeypatch.setattr(body_reader, "STALLED_AFTER_S", 0.2)
    reader = BodyReader(LIMIT)
    async with anyio.create_task_group() as tasks:
        for _ in range(BODIES_IN_HAND):
            tasks.start_soon(refused, reader, sender(b"a" * LIMIT, ends=False))
        await anyio.wait_all_tasks_blocked()
        assert await refused(reader, sender(b"a")) == 503
    assert await reader.read({}, sender(b"a"), LIMIT) == b"a"


async def test_bodies_in_one_piece_take_room_and_give_it_back(monkeypatch: pytest.MonkeyPatch):
    """A body in one piece counts against the total bound, and is given back exactly once."""
    monkeypatch.setattr(body_reader, "STALLED_AFTER_S", 0.2)
    reader, whole = BodyReader(LIMIT), b"a" * LIMIT
    for _ in range(2 * BODIES_IN_HAND):
        assert await reader.read({b"content-length": str(LIMIT).encode()}, sender(whole, ends=False), LIMIT) == whole
    async with anyio.create_task_group() as tasks:
        for _ in range(BODIES_IN_HAND):
            tasks.start_soon(refused, reader, sender(whole, ends=False))
        await anyio.wait_all_tasks_blocked()
        assert await refused(reader, sender(b"a"), content_length="1") == 503


async def test_a_body_that_is_announced_as_far_too_large_is_refused_unread():
    """A body whose announced length is far too large is refused without being read."""
    never = sender()
    assert await refused(BodyReader(LIMIT), never, content_length=str(LIMIT * 1000)) == 413
    assert await refused(BodyReader(LIMIT), never, content_length=str(LIMIT + 1), expect="100-continue") == 413


async def test_a_body_that_grows_too_large_is_refused():
    """A body that grows too large is refused, whatever length was announced."""
    assert await refused(BodyReader(LIMIT), sender(b"a" * 60, b"b" * 60)) == 413


@pytest.mark.parametrize("coding", ["gzip", "identity, gzip", "br"])
async def test_a_compressed_body_is_refused_unread(coding: str):
    """A compressed body is refused without being read, because a few kilobytes can be 100 MB."""
    assert await refused(BodyReader(LIMIT), sender(), content_encoding=coding) == 415


async def test_a_client_that_goes_away_ends_the_reading_and_takes_no_room():
    """When a client disconnects, its body is dropped and no longer counts against the total bound."""
    reader = BodyReader(LIMIT)
    for _ in range(2 * BODIES_IN_HAND):
        messages = [{"type": "http.request", "body": b"a" * LIMIT, "more_body": True}, {"type": "http.disconnect"}]

        async def receive(left: list[dict[str, Any]] = messages) -> dict[str, Any]:
            return left.pop(0)

        assert await refused(reader, receive) == 400


async def test_a_body_that_is_a_little_too_large_is_read_on_before_it_is_refused():
    """A body that is a little too large is read to its end, so that the client receives the refusal."""
    parts = [b"a" * LIMIT, b"b" * (LIMIT - 1), b"c", b"d", b"e"]
    left = list(parts)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    assert await refused(BodyReader(LIMIT), receive) == 413
    assert left == parts[4:]


async def test_a_body_of_announced_length_is_whole_once_it_has_come():
    """A body of announced length is complete with its last byte, without a further message of the server."""
    length = {b"content-length": str(LIMIT).encode()}
    with anyio.fail_after(20):
        assert len(await BodyReader(LIMIT).read(length, sender(b"a" * 60, b"b" * 40, ends=False), LIMIT)) == LIMIT


async def test_the_length_of_a_body_in_chunks_is_not_believed():
    """`Transfer-Encoding` overrides `Content-Length`, by RFC 9112 section 6.3."""
    headers = {b"content-length": b"60", b"transfer-encoding": b"chunked"}
    assert len(await BodyReader(LIMIT).read(headers, sender(b"a" * 60, b"b" * 40), LIMIT)) == LIMIT
