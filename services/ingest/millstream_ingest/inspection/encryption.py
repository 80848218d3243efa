"""Looks at the keys by which jobs are stored encrypted.

What it has found is kept for KEPT_S: there may be very many data keys.
"""

import time

import anyio

from millstream_codec import Keyring
from millstream_contracts import EncryptionStatus, KeyEncryptionKey
from millstream_runtime.examination.section import Section
from millstream_streams import Broker, WrappedKeys

KEPT_S = 60.0
OPENED_WITHIN_S = 2.0
"""How long a key service may take to open one data key of each key-encryption key."""

Found = tuple[EncryptionStatus | None, list[Section]]


class EncryptionDesk:
    """Looks at one installation."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._found: Found = (None, [])
        self._until = 0.0

    async def look(self) -> Found:
        """Return which keys there are, as they were KEPT_S ago at most. Raises: StoreError."""
        if time.monotonic() >= self._until:
            self._found = await self._look()
            self._until = time.monotonic() + KEPT_S
        return self._found

    async def _look(self) -> Found:
        broker, codec = self._broker, self._broker.codec
        wrapped = await broker.data_keys.by_key_encryption_key()
        tenants = sum(stored.encrypts_all for stored in (await broker.tenants.all()).values())
        if not wrapped and not tenants and codec.keyring is None:
            return None, []
        current = codec.keyring.key_encryption_key if codec.keyring else ""
        keys = [
            KeyEncryptionKey(
                id=key_id,
                is_current=key_id == current,
                is_known=await _is_known(codec.keyring, key_id, wrapped.get(key_id)),
                data_keys=wrapped[key_id].count if key_id in wrapped else 0,
            )
            for key_id in sorted({*wrapped, current} - {""})
        ]
        status = EncryptionStatus(encrypts="all" if codec.encrypts_all else "declared", keys=keys, tenants=tenants)
        return status, [_section(keys, tenants, current)]


async def _is_known(keyring: Keyring | None, key_id: str, wrapped: WrappedKeys | None) -> bool:
    if keyring is None or wrapped is None:
        return keyring is not None and key_id == keyring.key_encryption_key
    sample = wrapped.sample
    with anyio.move_on_after(OPENED_WITHIN_S):
        return await keyring.opens(sample.tenant, sample.kid, sample.key)
    return False


def _section(keys: list[KeyEncryptionKey], tenants: int, current: str) -> Section:
    lost = [
        f"ingest cannot open what the key-encryption key `{one.id}` wraps, which is {_data_keys(one)}: give it back"
        for one in keys
        if not one.is_known
    ]
    if tenants and not current:
        lost.append(f"ingest has no encryption keys, and the jobs of {tenants} tenants are to be stored encrypted")
    passed = [f"the key-encryption key `{one.id}` wraps {_data_keys(one)}{_of(one)}" for one in keys if one.is_known]
    return Section(name="encryption", headline="encryption", objections=lost, passed=passed)


def _of(key: KeyEncryptionKey) -> str:
    return ", and new ones" if key.is_current else ": `millstream encryption rewrap` before it is removed"


def _data_keys(key: KeyEncryptionKey) -> str:
    return "1 data key" if key.data_keys == 1 else f"{key.data_keys:,} data keys"
