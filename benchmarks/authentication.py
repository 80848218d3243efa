"""Measures what a key or a held token adds to a request: the time to tell its principal, by the number of them."""

import hashlib
import os
import random
import time
from argparse import Namespace
from typing import Any

from rig import median, report, rig

from millstream_contracts import DEFAULT_TENANT, MintedKey, Role, digest_of_key, mint_key
from millstream_ingest.access.gate import Gate, KeyGate, OpenGate
from millstream_ingest.access.key_cache import KeyCache
from millstream_ingest.access.principal import ADMINISTRATOR
from millstream_ingest.access.tokens.verifier import MAX_HELD, HeldToken, TokenVerifier
from millstream_ingest.http.headers import Headers, read_headers
from millstream_streams import Broker, KeyChange, StoredApiKey
from millstream_telemetry import IngestMetrics, MetricRegistry

KEYS = (1, 100, 10_000)
CALLS = 50_000
STORED_AT_ONCE = 500
TOKEN_BYTES = 1_000


async def main(options: Namespace) -> dict[str, Any]:
    """Measure each number of keys against an ingest that asks for none, and print the medians."""
    added: dict[int, float] = {}
    for count in KEYS:
        rounds = [await _measure(count) for _ in range(options.rounds)]
        added[count] = median(rounds)
    hash_us = median([_hash_us() for _ in range(options.rounds)])
    rows = [(f"us added by a key, of {count:,} held", f"{us:.2f}") for count, us in added.items()]
    token_us = median([await _measure_tokens() for _ in range(options.rounds)])
    rows.append((f"us added by a token of {TOKEN_BYTES} bytes, of {MAX_HELD:,} held", f"{token_us:.2f}"))
    worst = max(added.values())
    rows += [("us of its SHA-256 alone", f"{hash_us:.2f}"), ("times its SHA-256, at worst", f"{worst / hash_us:.2f}")]
    return report(
        "authentication",
        rows,
        measured={"authentication": worst},
        rounds=options.rounds,
        added_us=worst,
        hash_us=hash_us,
        token_us=token_us,
    )


def _hash_us() -> float:
    """Return the time of one SHA-256 of a key: how fast this machine is at this moment."""
    text = mint_key().text.encode()
    begun = time.perf_counter()
    for _ in range(CALLS):
        digest_of_key(text)
    return (time.perf_counter() - begun) / CALLS * 1e6


async def _measure(count: int) -> float:
    async with rig() as one:
        minted = await _store(one.broker, count)
        cache = KeyCache(one.broker)
        await cache.refresh()
        gate = KeyGate(cache, one.broker.clock, IngestMetrics(MetricRegistry()))
        # Clients in turn: what one leaves in the caches of the processor is of no use to the next.
        requests = [_headers(random.choice(minted)) for _ in range(1_000)]
        _time(gate, requests, CALLS // 10)
        # Fresh once more, so that the keys count to the end of the loop.
        await cache.refresh()
        return (_time(gate, requests, CALLS) - _time(OpenGate(), requests, CALLS)) * 1e6


async def _measure_tokens() -> float:
    """Return what a token adds that was verified before."""
    async with rig() as one:
        metrics = IngestMetrics(MetricRegistry())
        tokens = TokenVerifier([], one.broker.clock, metrics)
        cache = KeyCache(one.broker)
        # A token counts while it is known what its tenant may do.
        await cache.refresh()
        gate = KeyGate(cache, one.broker.clock, metrics, tokens)
        texts = [b"Bearer eyJ" + os.urandom(TOKEN_BYTES // 2).hex().encode() for _ in range(MAX_HELD)]
        held = HeldToken(ADMINISTRATOR, time.time() + 3_600)
        # As if they had been verified.
        tokens._held.update((hashlib.sha256(text).digest(), held) for text in texts)  # noqa: SLF001 - as said
        requests = [read_headers([(b"host", b"127.0.0.1"), (b"authorization", text)]) for text in texts[:1_000]]
        _time(gate, requests, CALLS // 10)
        await cache.refresh()
        return (_time(gate, requests, CALLS) - _time(OpenGate(), requests, CALLS)) * 1e6


def _time(gate: Gate, requests: list[Headers], calls: int) -> float:
    """Return the seconds of one call."""
    begun = time.perf_counter()
    for number in range(calls):
        assert gate.known(requests[number % len(requests)], {}) is not None
    return (time.perf_counter() - begun) / calls


def _headers(key: MintedKey) -> Headers:
    return read_headers([(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {key.text}".encode())])


async def _store(broker: Broker, count: int) -> list[MintedKey]:
    minted = [mint_key() for _ in range(count)]
    for start in range(0, count, STORED_AT_ONCE):
        await broker.api_keys.put_keys(
            KeyChange(
                one.id,
                None,
                StoredApiKey(
                    digest=one.digest, tenant=DEFAULT_TENANT, name="bench", role=Role.SUBMITTER, created_at_ms=1
                ),
            )
            for one in minted[start : start + STORED_AT_ONCE]
        )
    return minted
