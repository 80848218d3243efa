"""Keys of the API: made, listed, rotated and revoked by those who may."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network

from msgspec.structs import asdict, replace

from millstream_contracts import (
    GRANTABLE,
    ROLE_SCOPES,
    ApiKey,
    ApiKeyChange,
    ApiKeyPage,
    FieldError,
    KeyRotation,
    NewApiKey,
    Scope,
    SecretApiKey,
    Tenant,
    TenantState,
    mint_key,
    moment,
)
from millstream_ingest.access.key_cache import principal_of
from millstream_ingest.access.principal import Principal, within_tenant
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import FORBIDDEN, INVALID_REQUEST, KEY_NOT_FOUND, WRONG_STATE
from millstream_ingest.inspection.name_pages import page_of
from millstream_ingest.tenants.quotas import check_room
from millstream_ingest.tenants.request_limits import checked_limits
from millstream_streams import ApiKeys, KeyChange, RedisClock, StoredApiKey, Tenants, TooManyKeysError
from millstream_webhooks import Network, parse_networks


class KeyDesk:
    """The keys of all tenants. Every method may raise StoreError."""

    def __init__(self, api_keys: ApiKeys, tenants: Tenants, clock: RedisClock) -> None:
        self._api_keys = api_keys
        self._tenants = tenants
        self._clock = clock

    async def create(self, maker: Principal, asked: NewApiKey) -> SecretApiKey:
        """Make a key. Raises: IngestError (403, 422)."""
        tenant = await self._tenant(maker, asked.tenant)
        granted = within_tenant(frozenset(_granted(asked)), tenant)
        scopes = [scope for scope in GRANTABLE if scope in granted]
        _check_grant(maker, scopes)
        _check_networks(maker, asked.networks, "/networks")
        await self._check_quota(tenant)
        now_ms, minted = self._clock.now_ms(), mint_key()
        stored = StoredApiKey(
            digest=minted.digest,
            tenant=tenant,
            name=asked.name,
            role=asked.role or "",
            scopes=[] if asked.role else [scope.value for scope in scopes],
            created_at_ms=now_ms,
            created_by=maker.credential,
            expires_at_ms=None if asked.expires_in_s is None else now_ms + int(asked.expires_in_s * 1000),
            types=asked.types,
            networks=asked.networks,
            limits=checked_limits(asked.limits),
        )
        await self._put([KeyChange(minted.id, None, stored)])
        return _with_secret(shown_key(minted.id, stored), minted.text)

    async def page(self, reader: Principal, tenant: str | None, *, cursor: str | None, limit: int) -> ApiKeyPage:
        """Return a page of the keys of a tenant by id; None for the reader's own.

        Raises: CursorError, IngestError (403, 422).
        """
        tenant = await self._tenant(reader, tenant)
        _, stored = await self._api_keys.all()
        ids = sorted(key_id for key_id, one in stored.items() if one.tenant == tenant)
        page, next_cursor = page_of(ids, str, cursor, limit)
        uses = await self._api_keys.uses(page)
        items = [shown_key(key_id, stored[key_id], uses.get(key_id)) for key_id in page]
        return ApiKeyPage(items=items, next_cursor=next_cursor)

    async def find(self, reader: Principal, key_id: str) -> ApiKey:
        """Return a key. Raises: IngestError (404)."""
        stored = await self._stored(reader, key_id)
        uses = await self._api_keys.uses([key_id])
        return shown_key(key_id, stored, uses.get(key_id))

    async def change(self, principal: Principal, key_id: str, asked: ApiKeyChange) -> ApiKey:
        """Change a key. Raises: IngestError (404, 409, 422)."""
        stored = await self._stored(principal, key_id)
        if asked.limits is not None:
            changed = replace(stored, limits=checked_limits(asked.limits))
            await self._put([KeyChange(key_id, stored, changed)])
        return await self.find(principal, key_id)

    async def revoke(self, principal: Principal, key_id: str) -> ApiKey:
        """Remove a key, and return it as it was. Its sessions count for nothing from then on.

        Raises: IngestError (404).
        """
        found = await self.find(principal, key_id)
        await self._put([KeyChange(key_id, None, None)])
        return replace(found, revoked_at=moment(self._clock.now_ms()))

    async def rotate(self, maker: Principal, key_id: str, asked: KeyRotation) -> SecretApiKey:
        """Make a key that takes the place of another, which works for a while yet. Raises: IngestError (403, 404, 409).

        The successor lives as long as the key was made for.
        """
        old = await self._stored(maker, key_id)
        _check_grant(maker, principal_of(key_id, old).scopes & set(GRANTABLE))
        _check_networks(maker, old.networks, "")
        now_ms, minted = self._clock.now_ms(), mint_key()
        if old.successor or (old.expires_at_ms or now_ms + 1) <= now_ms:
            why = f"has the successor `{old.successor}` already" if old.successor else "has expired"
            raise IngestError(WRONG_STATE, f"the key `{key_id}` {why}")
        lifetime_ms = None if old.expires_at_ms is None else old.expires_at_ms - old.created_at_ms
        successor = replace(
            old,
            digest=minted.digest,
            created_at_ms=now_ms,
            created_by=maker.credential,
            expires_at_ms=None if lifetime_ms is None else now_ms + lifetime_ms,
            owner=old.owner or key_id,
        )
        ends_at_ms = now_ms + int(asked.overlap_s * 1000)
        ends_at_ms = ends_at_ms if old.expires_at_ms is None else min(ends_at_ms, old.expires_at_ms)
        leaving = replace(old, successor=minted.id, expires_at_ms=ends_at_ms)
        await self._put([KeyChange(key_id, old, leaving), KeyChange(minted.id, None, successor)])
        return _with_secret(shown_key(minted.id, successor), minted.text)

    async def _tenant(self, principal: Principal, asked: str | None) -> Tenant:
        """Return the tenant whose keys are meant. Raises: IngestError (403, 422)."""
        if asked is None or asked == principal.tenant:
            return principal.tenant
        if not principal.may(Scope.TENANTS_MANAGE):
            raise IngestError(FORBIDDEN, "keys of another tenant are for those who may manage tenants")
        found = await self._tenants.get(Tenant(asked))
        if found is None or found.state == TenantState.DELETING:
            fault = FieldError("/tenant", f"there is no tenant `{asked}`: make it first")
            raise IngestError(INVALID_REQUEST, errors=[fault])
        return Tenant(asked)

    async def _check_quota(self, tenant: Tenant) -> None:
        """Refuse a key above the quota of its tenant. Raises: IngestError (403)."""
        stored = await self._tenants.get(tenant)
        if stored is None or (most := stored.quotas.keys) is None:
            return
        _, keys = await self._api_keys.all()
        check_room(most, sum(one.tenant == tenant for one in keys.values()), "keys")

    async def _stored(self, principal: Principal, key_id: str) -> StoredApiKey:
        stored = await self._api_keys.get(key_id)
        # The key of another tenant is as unknown as one that never was, except to those who manage tenants.
        is_theirs = stored is not None and (stored.tenant == principal.tenant or principal.may(Scope.TENANTS_MANAGE))
        if stored is None or not is_theirs:
            raise IngestError(KEY_NOT_FOUND, f"there is no key `{key_id}`")
        return stored

    async def _put(self, changes: list[KeyChange]) -> None:
        try:
            is_done = await self._api_keys.put_keys(changes)
        except TooManyKeysError as error:
            raise IngestError(INVALID_REQUEST, str(error), [FieldError("", str(error))]) from None
        if not is_done:
            raise IngestError(WRONG_STATE, f"the key `{changes[0].id}` was changed by another request meanwhile")


def shown_key(key_id: str, stored: StoredApiKey, used_at_ms: int | None = None) -> ApiKey:
    """Return a key as it is shown."""
    principal = principal_of(key_id, stored)
    return ApiKey(
        id=key_id,
        name=stored.name,
        tenant=stored.tenant,
        role=principal.role,
        scopes=[scope for scope in GRANTABLE if scope in principal.scopes],
        created_at=moment(stored.created_at_ms),
        created_by=stored.created_by,
        expires_at=None if stored.expires_at_ms is None else moment(stored.expires_at_ms),
        last_used_at=None if used_at_ms is None else moment(used_at_ms),
        successor=stored.successor or None,
        types=stored.types,
        networks=stored.networks,
        limits=stored.limits,
    )


def _granted(asked: NewApiKey) -> list[Scope]:
    """Return the scopes that a key is asked for, in their order. Raises: IngestError (422)."""
    if (asked.role is None) == (asked.scopes is None):
        fault = FieldError("/role", "give a role, or scopes in its place: one of the two")
        raise IngestError(INVALID_REQUEST, errors=[fault])
    wanted = ROLE_SCOPES[asked.role] if asked.role else asked.scopes or []
    for at, scope in enumerate(asked.scopes or []):
        if scope not in GRANTABLE:
            raise IngestError(INVALID_REQUEST, errors=[FieldError(f"/scopes/{at}", f"`{scope}` cannot be granted")])
    return [scope for scope in GRANTABLE if scope in wanted]


def _check_grant(maker: Principal, scopes: Iterable[Scope]) -> None:
    """Refuse to grant what the maker does not have itself. Raises: IngestError (403)."""
    missing = [scope for scope in scopes if not maker.may(scope)]
    if missing:
        detail = f"a key cannot be given the scope `{missing[0]}`, which the key that makes it does not have"
        raise IngestError(FORBIDDEN, detail)


def _check_networks(maker: Principal, texts: Sequence[str], pointer: str) -> None:
    """Refuse to grant a use from where the maker has none itself. Raises: IngestError (403, 422)."""
    wanted: list[Network] = []
    for at, text in enumerate(texts):
        try:
            wanted += parse_networks([text])
        except ValueError as error:
            raise IngestError(INVALID_REQUEST, errors=[FieldError(f"{pointer}/{at}", str(error))]) from None
    own = parse_networks(maker.networks)
    if own and not (wanted and all(_lies_in(one, own) for one in wanted)):
        named = ", ".join(f"`{text}`" for text in maker.networks)
        raise IngestError(
            FORBIDDEN, f"a key cannot be given more networks than {named}, which the key that makes it has"
        )


def _lies_in(network: Network, others: Sequence[Network]) -> bool:
    if isinstance(network, IPv4Network):
        return any(isinstance(one, IPv4Network) and network.subnet_of(one) for one in others)
    return any(isinstance(one, IPv6Network) and network.subnet_of(one) for one in others)


def _with_secret(shown: ApiKey, text: str) -> SecretApiKey:
    return SecretApiKey(**asdict(shown), key=text)
