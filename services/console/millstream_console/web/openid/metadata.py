"""Reads what an OpenID provider says of itself. Nothing of it may lead to another issuer, or over plain http.

Source: OpenID Connect Discovery 1.0; RFC 8414; RFC 9207; OpenID Connect RP-Initiated Logout 1.0.
"""

from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from millstream.outgoing import AddressError, check_form
from millstream_runtime import is_loopback

WELL_KNOWN = "/.well-known/openid-configuration"


class ProviderMetadata(Struct, frozen=True):
    """Where an OpenID provider does what, and how."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool | None = None

    @property
    def names_issuer(self) -> bool:
        """Whether each of its answers says whose it is."""
        return self.authorization_response_iss_parameter_supported is True

    @property
    def takes_basic(self) -> bool:
        """Whether a client shows its secret in a header, which is the default, and not in the body."""
        methods = self.token_endpoint_auth_methods_supported
        return methods is None or "client_secret_basic" in methods or "client_secret_post" not in methods


_decode = msgspec.json.Decoder(ProviderMetadata).decode


def read_metadata(body: bytes, issuer: str) -> ProviderMetadata:
    """Return the metadata of an issuer. Raises: ValueError, which says what is wrong with it."""
    try:
        found = _decode(body)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"its metadata cannot be read: {error}") from None
    if found.issuer != issuer:
        raise ValueError("its metadata is that of another issuer, which MILLSTREAM_OIDC_ISSUER names letter by letter")
    for name in ("authorization_endpoint", "token_endpoint", "end_session_endpoint"):
        check_endpoint(name, getattr(found, name))
    return found


def check_endpoint(name: str, url: str | None) -> None:
    """Refuse an address that others could read or replace. Raises: ValueError, which names it."""
    if url is None:
        return
    try:
        parsed = check_form(url)
    except AddressError as error:
        raise ValueError(f"`{name}`: {error}") from None
    if parsed.scheme != "https" and not is_loopback(parsed.host):
        raise ValueError(f"`{name}` begins with https://, unless it is on this machine")
    if "#" in url or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"`{name}` has a fragment, spaces or characters that have to be escaped")


def with_query(url: str, **fields: str) -> str:
    """Return a URL with these fields behind those that it has."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"
