"""Responses are sent with their headers and bodies."""

import pytest

from millstream_ingest.http.problems import BAD_REQUEST, OVERLOADED
from millstream_ingest.http.response import EncodedResponse, Response, encode_problem, encode_response


async def sent(response: EncodedResponse, *, is_head: bool = False) -> tuple[dict[bytes, bytes], bytes]:
    """Return the headers and the body that the server receives."""
    messages: list[dict] = []

    async def send(message: dict) -> None:
        messages.append(message)

    await response.send(send, is_head=is_head)
    assert [message["type"] for message in messages] == ["http.response.start", "http.response.body"]
    names = [name for name, _ in messages[0]["headers"]]
    assert len(names) == len(set(names))
    return dict(messages[0]["headers"]), messages[1]["body"]


def test_clients_that_are_turned_away_are_spread():
    """A 503, and no other status, has a `Retry-After` of one to three seconds, drawn for each refusal."""
    drawn = {dict(encode_problem(OVERLOADED.problem()).fields)[b"retry-after"] for _ in range(200)}
    assert drawn == {b"1", b"2", b"3"}
    assert b"retry-after" not in dict(encode_problem(BAD_REQUEST.problem()).fields)


async def test_head_is_answered_with_the_length_of_the_body_that_get_has():
    """HEAD has the headers of GET, its length included, and no body."""
    encoded = encode_response(Response({"a": 1}), {})
    headers, body = await sent(encoded)
    assert (body, headers[b"content-length"]) == (b'{"a":1}', b"7")
    assert await sent(encoded, is_head=True) == (headers, b"")


@pytest.mark.parametrize("status", [204, 304])
async def test_response_without_content_describes_none(status: int):
    """A response without content has no type, no length and no body."""
    headers, body = await sent(encode_response(Response(status=status, headers={"ETag": '"1"'}), {}))
    assert (headers, body) == ({b"etag": b'"1"'}, b"")


async def test_content_that_is_bytes_is_sent_as_it_is():
    """Content that is bytes, such as a page, is sent with its own type, whatever the client accepts."""
    page = Response(b"<p>", headers={"X-A": "b"}, media_type="text/html")
    headers, body = await sent(encode_response(page, {b"accept": b"application/msgpack"}))
    assert body == b"<p>"
    assert headers == {
        b"x-a": b"b",
        b"content-type": b"text/html",
        b"content-length": b"3",
        b"x-content-type-options": b"nosniff",
    }
