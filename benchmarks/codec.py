"""Measures what compression and encryption cost and save: microseconds and bytes a job, by the size of its payload."""

import random
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import msgspec
from rig import median, report

from millstream_codec import PAYLOAD, Codec, Keyring, LocalKeys, Place, StoredDataKey
from millstream_contracts import PLAIN, Coding, JobSpec
from millstream_streams.store.specs import coded_spec, read_spec

SIZES = (300, 4 << 10, 64 << 10)
CODINGS = {
    "plain": PLAIN,
    "compressed": Coding(),
    "encrypted": Coding(compress=False, encrypt=True),
    "both": Coding(encrypt=True),
}
PLACE = Place("default", "order.ship_0001JD3YQ8Z7M4T6V0RXKBN5C2WA", PAYLOAD)
SPENT_S = 0.2
"""How much CPU each measurement takes at least. CPU is measured, for other programs may run."""


async def main(options: Namespace) -> dict[str, Any]:
    """Measure each size in each coding, in turn, and print the medians."""
    rows: list[tuple[str, str]] = []
    found: dict[str, float] = {}
    for size in SIZES:
        spec = _spec(size)
        rounds = [await _measure(spec, coding) for _ in range(options.rounds) for coding in CODINGS.values()]
        for place, name in enumerate(CODINGS):
            some = rounds[place :: len(CODINGS)]
            write_us, read_us, stored = (median([one[value] for one in some]) for value in range(3))
            rows.append(
                (f"{size:,} bytes, {name}", f"{write_us:.1f} us to write, {read_us:.1f} to read, {stored:,.0f} bytes")
            )
            found |= {f"{name}_{size}_write_us": write_us, f"{name}_{size}_read_us": read_us, f"{name}_{size}": stored}
    return report("codec", rows, measured={}, rounds=options.rounds, **found)


async def _measure(spec: bytes, coding: Coding) -> tuple[float, float, float]:
    """Return the microseconds to write a spec and to read its payload, and the bytes that are stored."""
    keyring = Keyring(LocalKeys({"kek": bytes(32)}, "kek"))
    keyring.store = _Shelf()
    codec = Codec(keyring=keyring)
    await codec.prepare(PLACE.tenant, [coding])

    def write() -> bytes:
        return coded_spec(spec, lambda payload: codec.write(payload, coding, PLACE)) if coding is not PLAIN else spec

    stored = write()
    calls, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < SPENT_S:
        for _ in range(100):
            await codec.read(bytes(read_spec(stored).payload), PLACE)
        calls += 100
    return _us(write), spent / calls * 1e6, len(stored)


class _Shelf:
    """Keeps the one data key of a measurement."""

    def __init__(self) -> None:
        self._kept: tuple[str, StoredDataKey | None] = "", None

    async def current(self, tenant: str) -> tuple[str, StoredDataKey | None]:  # noqa: ARG002
        """As Redis."""
        return self._kept

    async def get(self, tenant: str, kid: str) -> StoredDataKey | None:  # noqa: ARG002
        """As Redis."""
        return self._kept[1]

    async def succeed_data_key(
        self,
        tenant: str,  # noqa: ARG002
        before: str,  # noqa: ARG002
        kid: str,
        key: StoredDataKey,
    ) -> tuple[str, StoredDataKey | None]:
        """As Redis."""
        self._kept = kid, key
        return self._kept


def _us(call: Callable[[], object]) -> float:
    calls, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < SPENT_S:
        for _ in range(100):
            call()
        calls += 100
    return spent / calls * 1e6


def _spec(size: int) -> bytes:
    """Return the spec of an order of about so many bytes, with ids that are random and words that are not."""
    source, lines = random.Random(size), []
    while len(payload := msgspec.msgpack.encode({"order": source.randrange(1 << 40), "lines": lines})) < size:
        sku, name = f"{source.getrandbits(64):016x}", f"{source.choice(COLOURS)} {source.choice(GOODS)}"
        lines.append({"sku": sku, "name": name, "price": round(source.uniform(1, 500), 2), "count": 1})
    return msgspec.msgpack.encode(JobSpec(payload=msgspec.Raw(payload), created_at_ms=1_700_000_000_000))


COLOURS = ("red", "dark blue", "silver", "green", "black", "white")
GOODS = ("chair", "table lamp", "bookcase", "rug", "cushion", "desk", "mirror", "shelf")
