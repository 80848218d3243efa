"""The attributes of a request for its span are complete and bounded, whatever the client has sent."""

from typing import Any

import pytest

from millstream_ingest.http.request_attributes import MAX_ATTRIBUTE_CHARS, request_attributes

LONG = 10 * MAX_ATTRIBUTE_CHARS


def scope(**more: Any) -> dict[str, Any]:
    """Return the ASGI scope of a request."""
    usual = {"path": "/v1/jobs", "query_string": b"", "scheme": "http", "http_version": "1.1"}
    return {**usual, "server": ("10.0.0.7", 8000), **more}


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        (b"jobs.example", "jobs.example", None),
        (b"jobs.example:8080", "jobs.example", 8080),
        (b"[::1]:8000", "::1", 8000),
        (b"", "10.0.0.7", 8000),
        (b"jobs.example:port", "10.0.0.7", 8000),
        (b"[::1", "10.0.0.7", 8000),
        (b":80", "10.0.0.7", 8000),
    ],
)
def test_the_server_is_the_one_that_the_client_named(host: bytes, address: str, port: int | None) -> None:
    """`server.address` is the host that the client named, and the address it reached when that cannot be read."""
    told = request_attributes(scope(), {b"host": host})
    assert (told["server.address"], told.get("server.port")) == (address, port)


def test_what_is_not_there_is_not_told() -> None:
    """A request without a query, a host or a user agent has no attributes for them."""
    assert request_attributes(scope(server=None), {}) == {
        "url.path": "/v1/jobs",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
    }


def test_everything_that_a_client_chooses_is_bounded() -> None:
    """Every attribute whose value the client chooses has at most MAX_ATTRIBUTE_CHARS characters."""
    headers = {b"host": b"h" * LONG, b"user-agent": b"\xff" * LONG}
    told = request_attributes(scope(path="/" * LONG, query_string=b"\xff" * LONG), headers)
    texts = {name: len(value) for name, value in told.items() if isinstance(value, str)}
    for name in ("url.path", "url.query", "server.address", "user_agent.original"):
        assert texts[name] == MAX_ATTRIBUTE_CHARS
