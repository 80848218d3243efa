"""One attempt to sign in at an OpenID provider, which the browser keeps in a cookie until the provider has answered.

`state` ties the answer to the browser that has asked, `code_verifier` the code to it (PKCE), and `nonce_secret` the ID
token. Only `state` and the digests of the other two go to the provider through the address bar. The console itself
keeps nothing, so any replica of it finishes what another has begun.

Source: RFC 9700, section 4.7; RFC 7636; OpenID Connect Core 1.0, section 15.5.2.
"""

import base64
import secrets
import time
from collections.abc import Mapping
from hmac import compare_digest
from typing import Annotated

import msgspec
from litestar.datastructures import Cookie
from msgspec import Meta, Struct

from millstream_console.web.openid.errors import StrayAnswerError

SECURE = "__Host-millstream-sign-in"
PLAIN = "millstream-sign-in"

LASTS_S = 600
"""How long a person may take at the provider."""

MAX_TO_CHARS = 1_000
"""Of the page to come back to; a longer address is left out, because cookies are bounded."""

_Random = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]

STRAY = (
    "this browser has begun no such sign-in, or it was answered already, or more than ten minutes ago; cookies may be "
    "switched off, or the sign-in was begun under another address of the console"
)


class Attempt(Struct, frozen=True):
    """What a browser has to bring back with the answer."""

    state: _Random
    code_verifier: _Random
    nonce_secret: _Random
    to: str
    """The page to come back to."""
    began_at_s: int
    """Unix seconds, by the clock of the console."""


def new_attempt(to: str) -> Attempt:
    """Return a fresh attempt."""
    kept = to if len(to) <= MAX_TO_CHARS else ""
    state, code_verifier, nonce_secret = (secrets.token_urlsafe(32) for _ in range(3))
    return Attempt(state, code_verifier, nonce_secret, kept, int(time.time()))


def attempt_cookie(attempt: Attempt | None, *, is_plain: bool) -> Cookie:
    """Return the cookie with an attempt; without one, that which removes it."""
    value = base64.urlsafe_b64encode(msgspec.json.encode(attempt)).decode() if attempt else ""
    # `Lax`, because the provider leads the browser here from another site.
    name, lasts_s = (PLAIN if is_plain else SECURE), (LASTS_S if attempt else 0)
    return Cookie(name, path="/", value=value, max_age=lasts_s, httponly=True, secure=not is_plain, samesite="lax")


def answered_attempt(cookies: Mapping[str, str], state: str, *, is_plain: bool) -> Attempt:
    """Return the attempt of this browser that an answer belongs to. Raises: StrayAnswerError."""
    try:
        text = base64.urlsafe_b64decode(cookies.get(PLAIN if is_plain else SECURE, ""))
        attempt = msgspec.json.decode(text, type=Attempt)
    except (ValueError, msgspec.MsgspecError):
        raise StrayAnswerError(STRAY) from None
    is_over = not 0 <= time.time() - attempt.began_at_s < LASTS_S
    if is_over or not compare_digest(attempt.state.encode(), state.encode(errors="replace")):
        raise StrayAnswerError(STRAY)
    return attempt
