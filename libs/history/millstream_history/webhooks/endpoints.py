"""Keeps the endpoints of webhooks: `History.webhooks`. The secrets are not here: they are derived from the salts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_contracts import JobEvent, Tenant, Webhook, ms_of
from millstream_history.connection.reading import Reader
from millstream_history.tables import WEBHOOK_ENDPOINTS
from millstream_webhooks import Endpoint, Salt

MAX_ENDPOINTS = 100
"""The most endpoints of a tenant: each event is compared with all of them."""

_COLUMNS = WEBHOOK_ENDPOINTS.c
_WORDS = {event.value: event for event in JobEvent}
_STATE = ("disabled_at", "disabled_reason", "failing_since")


class TooManyEndpointsError(Exception):
    """A tenant has as many endpoints as it may have."""


class Endpoints:
    """The endpoints in one history database. Every method may raise HistoryError."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def every(self) -> list[Endpoint]:
        """Return the endpoints of all tenants."""
        return await self._reader.read(_select)

    async def of(self, tenant: Tenant) -> list[Endpoint]:
        """Return the endpoints of a tenant, oldest first."""
        return await self._reader.read(lambda connection: _select(connection, _COLUMNS.tenant == tenant))

    async def find(self, tenant: Tenant, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint; None when there is no such endpoint."""
        found = await self._reader.read(lambda connection: _select(connection, *_place(tenant, endpoint_id)))
        return found[0] if found else None

    async def add(self, endpoint: Endpoint) -> None:
        """Store a new endpoint. Raises: TooManyEndpointsError."""

        async def store(connection: AsyncConnection) -> None:
            counting = select(func.count()).select_from(WEBHOOK_ENDPOINTS).where(_COLUMNS.tenant == endpoint.tenant)
            if (await connection.execute(counting)).scalar_one() >= MAX_ENDPOINTS:
                raise TooManyEndpointsError
            await connection.execute(insert(WEBHOOK_ENDPOINTS).values(_values(endpoint)))

        await self._reader.read(store)

    async def change(self, tenant: Tenant, endpoint_id: str, values: Mapping[str, Any]) -> Endpoint | None:
        """Change fields of an endpoint. Returns: it as it is then; None when there is no such endpoint."""
        changing = update(WEBHOOK_ENDPOINTS).where(*_place(tenant, endpoint_id)).values(dict(values))

        async def store(connection: AsyncConnection) -> Endpoint | None:
            row = (await connection.execute(changing.returning(WEBHOOK_ENDPOINTS))).one_or_none()
            return _endpoint(row) if row else None

        return await self._reader.read(store)

    async def rotate(
        self, tenant: Tenant, endpoint_id: str, text: str, *, now: datetime, until: datetime
    ) -> Endpoint | None:
        """Give an endpoint a new salt; those before it sign until `until`. Returns: as `change`."""

        async def store(connection: AsyncConnection) -> Endpoint | None:
            place = _place(tenant, endpoint_id)
            locked = (await connection.execute(select(WEBHOOK_ENDPOINTS).where(*place).with_for_update())).one_or_none()
            if locked is None:
                return None
            values = {"salts": _rotated(_endpoint(locked).salts, text, now, until), "rotated_at": now}
            changing = update(WEBHOOK_ENDPOINTS).where(*place).values(values).returning(WEBHOOK_ENDPOINTS)
            return _endpoint((await connection.execute(changing)).one())

        return await self._reader.read(store)

    async def remove(self, tenant: Tenant, endpoint_id: str) -> Endpoint | None:
        """Remove an endpoint. Returns: it as it was; None when there is no such endpoint."""
        removing = delete(WEBHOOK_ENDPOINTS).where(*_place(tenant, endpoint_id)).returning(WEBHOOK_ENDPOINTS)

        async def store(connection: AsyncConnection) -> Endpoint | None:
            row = (await connection.execute(removing)).one_or_none()
            return _endpoint(row) if row else None

        return await self._reader.read(store)

    async def note(self, endpoint: Endpoint) -> None:
        """Store what deliveries say of an endpoint: since when it fails or is disabled, and why."""
        values = {name: getattr(endpoint.webhook, name) for name in _STATE}
        await self.change(endpoint.tenant, endpoint.webhook.id, values)


def _place(tenant: Tenant, endpoint_id: str) -> tuple[Any, Any]:
    return _COLUMNS.tenant == tenant, _COLUMNS.id == endpoint_id


async def _select(connection: AsyncConnection, *where: Any) -> list[Endpoint]:
    query = select(WEBHOOK_ENDPOINTS).where(*where).order_by(_COLUMNS.tenant, _COLUMNS.created_at, _COLUMNS.id)
    return [_endpoint(row) for row in await connection.execute(query)]


def _values(endpoint: Endpoint) -> dict[str, Any]:
    webhook = msgspec.structs.asdict(endpoint.webhook)
    return {**webhook, "tenant": endpoint.tenant, "salts": msgspec.to_builtins(endpoint.salts)}


def _endpoint(row: Row[Any]) -> Endpoint:
    fields = {name: getattr(row, name) for name in Webhook.__struct_fields__}
    # Words of a newer release, which may be back, are no events here.
    fields["events"] = [_WORDS[word] for word in row.events if word in _WORDS]
    return Endpoint(Tenant(row.tenant), Webhook(**fields), msgspec.convert(row.salts, list[Salt]))


def _rotated(salts: Sequence[Salt], text: str, now: datetime, until: datetime) -> list[Any]:
    """Return the salts after a rotation: a new one, and those before it that still sign for a while."""
    now_ms, until_ms = ms_of(now), ms_of(until)
    ending = [Salt(one.text, min(one.until_ms or until_ms, until_ms)) for one in salts]
    kept = [one for one in ending if one.until_ms is not None and one.until_ms > now_ms]
    return msgspec.to_builtins([Salt(text), *kept[:3]])  # type: ignore[no-any-return]
