"""The attributes of a request's span beyond its method and route.

Source: OpenTelemetry semantic conventions for HTTP server spans.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from millstream_ingest.http.headers import Headers
from millstream_telemetry import Attributes, names

MAX_ATTRIBUTE_CHARS = 256
"""The bound of each value that the client chooses, because spans are kept and indexed."""


def request_attributes(scope: Mapping[str, Any], headers: Headers) -> Attributes:
    """Return the attributes of a request, given as its ASGI scope."""
    told: dict[str, str | int] = {
        names.URL_PATH: scope["path"][:MAX_ATTRIBUTE_CHARS],
        names.URL_SCHEME: scope["scheme"],
        names.PROTOCOL_VERSION: scope["http_version"],
    }
    host, port = _named_server(headers.get(b"host", b"")[:MAX_ATTRIBUTE_CHARS]) or scope["server"] or ("", None)
    if host:
        told[names.SERVER_ADDRESS] = host
    if port:
        told[names.SERVER_PORT] = port
    if query := scope["query_string"]:
        told[names.URL_QUERY] = query[:MAX_ATTRIBUTE_CHARS].decode("latin-1")
    if agent := headers.get(b"user-agent"):
        told[names.USER_AGENT] = agent[:MAX_ATTRIBUTE_CHARS].decode("latin-1")
    return told


@lru_cache(maxsize=64)
def _named_server(host: bytes) -> tuple[str, int | None] | None:
    """Return host and port as a client has named them, without a port for the default one; None when it did not."""
    with suppress(ValueError):  # the header may be anything
        named = urlsplit(f"//{host.decode('latin-1')}")
        if named.hostname:
            return named.hostname, named.port
    return None
