"""Reads the form of a token within bounds, before its signature is looked at: nothing that this returns is proven.

Source: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best practices).
"""

import json
import re
from base64 import urlsafe_b64decode
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta, Struct

from millstream_ingest.access.tokens.errors import TokenError

MAX_TOKEN_BYTES = 8 << 10
"""The longest token that is read at all."""

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Those with which an issuer signs and that ingest takes: none, and those with a shared secret, are not among them."""

MAX_KEY_ID_CHARS = 256

_PARTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
# Tokens of other kinds, such as those of a logout, are signed by the same keys and mean something else.
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
# What changes how a token is read: a reader that does not know it has to refuse the token (RFC 7515, section 4.1.11).
_NOT_KNOWN = ("crit", "b64", "enc", "zip", "cty")
_MALFORMED = "malformed"
_MISSING = re.compile(r"missing required field `(\w+)`")
_AT = re.compile(r"at `\$\.(\w+)")


class TokenHead(Struct, frozen=True):
    """The header of a token; fields with keys or addresses of keys, such as `jwk` and `jku`, are not read."""

    alg: str
    kid: Annotated[str, Meta(min_length=1, max_length=MAX_KEY_ID_CHARS)] | None = None
    typ: str = "JWT"


class Claims(Struct, frozen=True):
    """The claims that each token has, and all of them by name."""

    iss: str
    sub: Annotated[str, Meta(min_length=1, max_length=255)]
    aud: str | list[str]
    exp: Annotated[float, Meta(ge=0, le=1e11)]
    """Unix seconds, as are those below."""
    iat: Annotated[float, Meta(ge=0, le=1e11)]
    nbf: Annotated[float, Meta(ge=0, le=1e11)] = 0.0
    all: dict[str, Any] = {}


def looks_like_token(text: str) -> bool:
    """Return whether a credential is meant to be a token, and not a key of Millstream."""
    return text.count(".") >= 2


def read_form(text: str) -> tuple[TokenHead, Claims]:
    """Return the header and the claims of a token, which are not proven yet. Raises: TokenError."""
    if len(text) > MAX_TOKEN_BYTES:
        raise TokenError(_MALFORMED, f"the token has more than {MAX_TOKEN_BYTES:,} bytes")
    parts = _PARTS.fullmatch(text)
    if parts is None:
        raise TokenError(_MALFORMED, "the token is no signed JWT: three parts of base64url with points between them")
    head = _read_head(_object(parts[1], "header"))
    return head, read_claims(_object(parts[2], "payload"))


def read_claims(named: dict[str, Any]) -> Claims:
    """Return the claims. Raises: TokenError, where one is missing or is no such thing."""
    try:
        claims = msgspec.convert({**named, "all": named}, Claims)
    except (msgspec.ValidationError, OverflowError) as error:
        raise TokenError(_MALFORMED, f"the claims of the token cannot be used: {_fault(error)}") from None
    if not claims.sub.isprintable():
        raise TokenError(_MALFORMED, "the claim `sub` of the token has characters that cannot be shown")
    return claims


def _read_head(named: dict[str, Any]) -> TokenHead:
    for name in _NOT_KNOWN:
        if name in named:
            raise TokenError(_MALFORMED, f"the header of the token has `{name}`, which is not supported")
    try:
        head = msgspec.convert(named, TokenHead)
    except msgspec.ValidationError as error:
        raise TokenError(_MALFORMED, f"the header of the token cannot be used: {_fault(error)}") from None
    if head.alg not in ALGORITHMS:
        raise TokenError(_MALFORMED, f"the token is not signed with one of {', '.join(ALGORITHMS)}")
    if head.typ.lower() not in _TYPES:
        raise TokenError(_MALFORMED, "the token is of another kind: its `typ` is neither `JWT` nor `at+jwt`")
    return head


def _object(part: str, name: str) -> dict[str, Any]:
    try:
        # `b64decode` without `validate` passes over foreign characters; the pattern has no such characters.
        value = json.loads(
            urlsafe_b64decode(part + "=" * (-len(part) % 4)), object_pairs_hook=_once, parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise TokenError(_MALFORMED, f"the {name} of the token is no JSON object, or has a name twice")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two claims of one name, readers take one or the other: what one has checked, another one believes.
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("a name is there twice")
    return named


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _fault(error: Exception) -> str:
    """Return which field is at fault. What it holds is not quoted, because an attacker has written it."""
    text = str(error)
    if missing := _MISSING.search(text):
        return f"`{missing[1]}` is missing"
    place = _AT.search(text)
    return f"`{place[1]}` is not what it has to be" if place else "a number is out of bounds"
