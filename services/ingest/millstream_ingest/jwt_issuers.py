"""The issuers of tokens that operators name in `MILLSTREAM_JWT_ISSUERS`, and what claims of their tokens mean here.

Each issuer has a mapping of its own: what one of them says of tenants and roles must not hold for another.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from millstream_contracts import DEFAULT_TENANT, GRANTABLE, NAME_PATTERN, ROLE_SCOPES, Role, Scope
from millstream_runtime import is_loopback
from millstream_webhooks import AddressError, Network, check_form, parse_networks

MAX_ISSUERS = 16

Text = Annotated[str, Meta(min_length=1, max_length=512)]
TenantName = Annotated[str, Meta(pattern=NAME_PATTERN)]
Claim = Text | Annotated[list[Text], Meta(min_length=1, max_length=8)]
"""The name of a claim, or the names on the way to one that lies in others: `["realm_access", "roles"]`."""


class JwtIssuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer of tokens that ingest trusts."""

    issuer: Text
    """What its tokens have as `iss`, letter by letter."""
    audiences: Annotated[list[Text], Meta(max_length=16)] = []
    """Its tokens name one of these as `aud`; empty where people sign in with it and programs do not."""
    client_ids: Annotated[list[Text], Meta(max_length=16)] = []
    """The client ids of consoles: an ID token for one of these opens a session, and is good for nothing else."""
    jwks_url: Text
    """Where its keys are read, over https; nothing in a token changes that."""
    roles_claim: Claim = "roles"
    """The claim with the values that grant something: a list of texts, or one text with spaces between them."""
    roles: Annotated[dict[Text, Role | list[Scope]], Meta(min_length=1)]
    """What each of these values grants: a role, or a list of scopes."""
    tenant: TenantName = DEFAULT_TENANT
    """The tenant of all its tokens, unless a claim names it."""
    tenant_claim: Claim | None = None
    """The claim with the tenant."""
    tenants: list[TenantName] = []
    """The tenants that the claim may name; empty for all of them."""
    networks: list[str] = []
    """The private networks in which `jwks_url` may lie."""

    def __post_init__(self) -> None:
        """Refuse what could not be meant. Raises: ValueError."""
        if not self.audiences and not self.client_ids:
            raise ValueError("`audiences` and `client_ids` are both empty, so no token would be taken")
        if both := sorted(set(self.audiences) & set(self.client_ids)):
            raise ValueError(f"`{both[0]}` is in `audiences` and in `client_ids`: an ID token must be no other token")
        if not self.issuer.isprintable() or " " in self.issuer:
            raise ValueError("`issuer` has spaces or characters that cannot be shown")
        for value, granted in self.roles.items():
            wrong = [] if isinstance(granted, Role) else [one for one in granted if one not in GRANTABLE]
            if wrong:
                raise ValueError(f"`{wrong[0]}`, which `roles` has for `{value}`, cannot be granted")
        if self.tenants and self.tenant_claim is None:
            raise ValueError("`tenants` bounds what `tenant_claim` names, and that is not given")
        parse_networks(self.networks)
        try:
            url = check_form(self.jwks_url)
        except AddressError as error:
            raise ValueError(f"`jwks_url`: {error}") from None
        if url.scheme != "https" and not is_loopback(url.host):
            raise ValueError("`jwks_url` begins with https://, because keys that others can replace prove nothing")

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """Return the private networks in which the keys may be read."""
        return parse_networks(self.networks)

    def scopes_of(self, value: str) -> frozenset[Scope]:
        """Return what a value of the claim grants; nothing for any that was not named."""
        granted = self.roles.get(value)
        if granted is None:
            return frozenset()
        return ROLE_SCOPES[granted] if isinstance(granted, Role) else frozenset(granted)


_decode = msgspec.json.Decoder(list[JwtIssuer]).decode


def parse_issuers(text: str) -> tuple[JwtIssuer, ...]:
    """Return the issuers that a setting names, as a JSON list. Raises: ValueError, with the place of what is wrong."""
    try:
        issuers = _decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(str(error)) from None
    if len(issuers) > MAX_ISSUERS:
        raise ValueError(f"there are {len(issuers)} issuers; the limit is {MAX_ISSUERS}")
    names = [one.issuer for one in issuers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the issuer `{name}` is there twice")
    return tuple(issuers)
