"""Refuses requests that another web site makes a browser send.

Source: https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

_OURS = frozenset({"same-origin", "none"})


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without the port."""
    return urlsplit(f"//{host}").netloc.rsplit(":", 1)[0].lower() if not host.endswith("]") else host.lower()


def is_for_us(headers: Mapping[str, str], allowed: frozenset[str] | None) -> bool:
    """Return whether a request is for a name of the console.

    A site whose name is made to lead to this machine would else read the console as its own.
    """
    return allowed is None or host_name(headers.get("host", "")) in allowed


def is_from_us(headers: Mapping[str, str]) -> bool:
    """Return whether a page of the console sent a request, or a person by hand."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in _OURS
    origin = headers.get("origin")
    # What has neither header is no browser that a site could lead here.
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
