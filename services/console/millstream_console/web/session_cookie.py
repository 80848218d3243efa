"""The cookie that holds the token of a session.

Its name begins with `__Host-`, by which a browser holds it to https, to this host and to no subdomain. A browser keeps
such a cookie of plain http not at all: on the loopback addresses of this machine another name takes its place.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from litestar.datastructures import Cookie

from millstream_console.web.origin import host_name

SECURE = "__Host-millstream-session"
PLAIN = "millstream-session"


def is_loopback_host(headers: Mapping[str, str]) -> bool:
    """Return whether a request is for a name of this machine, which no network lies before."""
    name = host_name(headers.get("host", "")).strip("[]")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_plain_http(headers: Mapping[str, str]) -> bool:
    """Return whether a form came from a page over plain http, as its browser says.

    `Origin` is that of the browser, so it tells of https also behind a proxy. Without one, a loopback name is plain.
    """
    origin = urlsplit(headers.get("origin", "")).scheme
    return origin == "http" if origin else is_loopback_host(headers)


def token_in(cookies: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return the token of the session that a request has; empty without one."""
    found = cookies.get(SECURE, "")
    return found or (cookies.get(PLAIN, "") if is_loopback_host(headers) else "")


def session_cookie(token: str, lasts_s: int, *, is_plain: bool) -> Cookie:
    """Return the cookie with a token, for so many seconds."""
    name = PLAIN if is_plain else SECURE
    return Cookie(name, path="/", value=token, max_age=lasts_s, httponly=True, secure=not is_plain, samesite="lax")


def no_session_cookies(cookies: Mapping[str, str]) -> list[Cookie]:
    """Return the cookies that remove the sessions which a request has."""
    plain = {SECURE: False, PLAIN: True}
    return [session_cookie("", 0, is_plain=is_plain) for name, is_plain in plain.items() if name in cookies]
