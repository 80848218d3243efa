"""Checks what an ID token needs, besides a signature and a time, to open a session.

Source: OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725, section 3.11.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from millstream_contracts import limits
from millstream_ingest.access.tokens.errors import TokenError
from millstream_ingest.access.tokens.token_form import Claims, TokenHead
from millstream_ingest.jwt_issuers import JwtIssuer

SIGN_IN_WITHIN_S = 600.0
"""How old an ID token may be that opens a session."""

MAX_EMAIL_CHARS = 254

# An access token with the client as its audience is signed by the same key, and was not given to sign a person in.
_ACCESS_TOKEN = "at+jwt"  # noqa: S105


class IdClaims(Struct, frozen=True):
    """The claims that an ID token has beyond those of each token."""

    nonce: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]
    azp: str | None = None


def is_for_console(issuer: JwtIssuer, claims: Claims) -> bool:
    """Return whether a token is an ID token for a console. Of several audiences all have to be consoles."""
    named = set(audiences_of(claims))
    return bool(named) and named <= set(issuer.client_ids)


def audiences_of(claims: Claims) -> list[str]:
    """Return the audiences of a token."""
    return [claims.aud] if isinstance(claims.aud, str) else claims.aud


def nonce_in(head: TokenHead, claims: Claims, age_s: float) -> str:
    """Return the `nonce` of an ID token that may open a session. Raises: TokenError."""
    if _ACCESS_TOKEN in head.typ.lower():
        raise TokenError("untrusted", "the token is an access token; an ID token opens a session")
    try:
        found = msgspec.convert(claims.all, IdClaims)
    except msgspec.ValidationError:
        raise TokenError("untrusted", "the ID token has no `nonce` of a sign-in, or an `azp` that is no text") from None
    audiences = audiences_of(claims)
    if (found.azp is None and len(audiences) > 1) or found.azp not in {None, *audiences}:
        raise TokenError("untrusted", "the ID token was given to another client, as its `azp` says")
    if age_s > SIGN_IN_WITHIN_S:
        raise TokenError("expired", f"the ID token is more than {SIGN_IN_WITHIN_S:.0f} s old, too old to sign in with")
    return found.nonce


def name_of(claims: Claims) -> str:
    """Return what a person is called: by name, or else by user name, address or subject."""
    named = (_text(claims, name) for name in ("name", "preferred_username", "email"))
    return next((one for one in named if one), claims.sub)[: limits.MAX_API_KEY_NAME_CHARS]


def email_of(claims: Claims) -> str:
    """Return the address of a person; empty where its issuer says that it was not verified."""
    return "" if claims.all.get("email_verified") is False else _text(claims, "email")[:MAX_EMAIL_CHARS]


def _text(claims: Claims, name: str) -> str:
    value: Any = claims.all.get(name)
    return value.strip() if isinstance(value, str) and value.isprintable() else ""
