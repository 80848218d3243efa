"""The attributes of a request's span beyond its method and route.

Source: OpenTelemetry semantic conventions for HTTP server spans.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from millstream_ingest.http.headers import Headers, header_text
from millstream_telemetry import Attributes, names

MAX_ATTRIBUTE_CHARS = 256
"""The bound of each value that the client chooses, because spans are kept and indexed."""


def request_attributes(scope: Mapping[str, Any], headers: Headers) -> Attributes:
    """Return the attributes of a request, given as its ASGI scope."""
    host, port = _named_server(scope, headers)
    told = {
        names.URL_PATH: scope["path"][:MAX_ATTRIBUTE_CHARS],
        names.URL_QUERY: scope["query_string"][:MAX_ATTRIBUTE_CHARS].decode("latin-1"),
        names.URL_SCHEME: scope["scheme"],
        names.SERVER_ADDRESS: host[:MAX_ATTRIBUTE_CHARS],
        names.SERVER_PORT: port,
        names.PROTOCOL_VERSION: scope["http_version"],
        names.USER_AGENT: header_text(headers, b"user-agent")[:MAX_ATTRIBUTE_CHARS],
    }
    return {name: value for name, value in told.items() if value}


def _named_server(scope: Mapping[str, Any], headers: Headers) -> tuple[str, int]:
    """Return host and port as the client named them; 0 for the default port of the scheme."""
    with suppress(ValueError):  # the header may be anything
        named = urlsplit(f"//{header_text(headers, b'host')}")
        if named.hostname:
            return named.hostname, named.port or 0
    host, port = scope["server"] or ("", 0)
    return host, port or 0
