"""Finds what a test left in Redis: only known keys are allowed, each of its type, and with a TTL where one is due."""

import re
from typing import Any

# Every key of millstream_streams/store/keys.py behind its namespace, with its type.
_KNOWN = [
    (re.compile(pattern.encode(), re.DOTALL), kind)
    for pattern, kind in (
        (r"queues|schedules", "set"),
        (r"\{fleet\}:(?:types|workers|services|callbacks|incidents|notices)", "hash"),
        (r"\{fleet\}:starts", "zset"),
        (r"\{[^{}]+\}:ready:(?:high|normal|low)", "stream"),
        (r"\{[^{}]+\}:(?:due|expiring)", "zset"),
        (r"\{[^{}]+\}:(?:dlq|events)", "stream"),
        (r"\{[^{}]+\}:(?:settings|callbacks)", "hash"),
        (r"\{[^{}]+\}:job:[a-z0-9.-]+_[0-9a-f]{2}[0-9A-Z]{26}", "hash"),
        (r"\{[^{}]+/_cron/[^{}]+\}:(?:ticks|outbox)", "zset"),
        (r"\{[^{}]+/_cron/[^{}]+\}:(?:index|starts|sched:.+)", "hash"),
        (r"\{[^{}]+\}:idempotency:.+", "string"),
        (r"\{[^{}]+\}:stack:[0-9a-f]+", "string"),
    )
]
_TERMINAL = {b"succeeded", b"cancelled", b"expired"}


async def find_leaks(client: Any, namespace: str) -> list[str]:
    """Return a complaint about every key of a namespace that should not be there, or should have a TTL."""
    found = []
    async for key in client.scan_iter(match=f"{namespace}:*", count=1000):
        complaint = await _complaint(client, key, key.removeprefix(f"{namespace}:".encode()))
        if complaint:
            found.append(f"{key!r} {complaint}")
    return sorted(found)


async def delete_namespace(client: Any, namespace: str) -> None:
    """Delete every key of a namespace."""
    keys = [key async for key in client.scan_iter(match=f"{namespace}:*", count=1000)]
    for key in keys:
        await client.delete(key)


async def _complaint(client: Any, key: bytes, name: bytes) -> str:
    wanted = next((kind for pattern, kind in _KNOWN if pattern.fullmatch(name)), None)
    if wanted is None:
        return "is no key of the Redis model"
    kind = (await client.type(key)).decode()
    if kind == "none":
        return ""  # it ended while we looked
    if kind != wanted:
        return f"is a {kind}, not a {wanted}"
    ends = await client.pttl(key) != -1
    if wanted == "string":
        return "" if ends else "is a key without an end"
    if b"}:job:" in key:
        return _job_complaint(await client.hget(key, "state"), ends=ends)
    return "has an end, and must not" if ends else ""


def _job_complaint(state: bytes | None, *, ends: bool) -> str:
    if state in _TERMINAL and not ends:
        return f"is a job that has {state.decode()} and is kept for ever"
    if state not in _TERMINAL and ends:
        return f"is a job in state {state!r} and will vanish"
    return ""
