"""Finds what a test left in Redis: only known keys are allowed, each of its type, and with a TTL where one is due."""

import re
from typing import Any, NamedTuple

_FLOW = r"\{[^{}]+/_flow/[^{}]+\}:flow:WF_[0-9a-f]{2}[0-9A-Z]{26}"
_BATCH = r"\{[^{}]+/_batch/[^{}]+\}:batch:BA_[0-9a-f]{2}[0-9A-Z]{26}"
_MAY_STAY = ", which may stay"
_BITMAP = "string" + _MAY_STAY

# Every key of millstream_streams/store/keys.py behind its namespace, with its type.
_KNOWN = [
    (re.compile(pattern.encode(), re.DOTALL), kind)
    for pattern, kind in (
        (r"queues|schedules|workflows|batches", "set"),
        (r"\{fleet\}:(?:types|workers|services|callbacks|incidents|notices)", "hash"),
        (r"\{control\}:(?:keys|sessions|uses|data_keys|tenants)", "hash"),
        (r"\{control\}:rates", "zset"),
        (r"\{audit\}:(?:open|heads)", "hash"),
        (r"\{audit\}:trail", "stream"),
        (r"\{fleet\}:(?:starts|dormant)", "zset"),
        (r"\{[^{}]+\}:ready:(?:high|normal|low)", "stream"),
        (r"\{[^{}]+\}:(?:due|expiring|blocked|outbox)", "zset"),
        (r"\{[^{}]+\}:kids:.+", "zset"),
        (r"\{[^{}]+\}:(?:backlog:[123]:.*|singles:[123])", "list"),
        (r"\{[^{}]+\}:(?:ring:[123]|rates|waiting|held)", "zset"),
        (r"\{[^{}]+\}:(?:slots|flow)", "hash"),
        (r"\{[^{}]+\}:probes", "set"),
        (r"\{[^{}]+\}:after:.+", "set"),
        (r"\{[^{}]+\}:(?:dlq|events)", "stream"),
        (r"\{[^{}]+\}:steps:.+", "hash"),
        (r"\{[^{}]+\}:signals:.+", "stream"),
        (r"\{[^{}]+\}:(?:settings|callbacks)", "hash"),
        (r"\{[^{}]+\}:job:[a-z0-9.-]+_[0-9a-f]{2}[0-9A-Z]{26}", "hash"),
        (r"\{[^{}]+/_cron/[^{}]+\}:(?:ticks|outbox)", "zset"),
        (r"\{[^{}]+/_cron/[^{}]+\}:(?:index|starts|sched:.+)", "hash"),
        (r"\{[^{}]+\}:erased", "hash"),
        (r"\{[^{}]+/_(?:flow|batch)/[^{}]+\}:(?:outbox|checks|index|ended)", "zset"),
        (_BATCH, "hash"),
        (_BATCH + ":members", "zset"),
        (_FLOW + r"(?::(?:nodes|graph|live|results|items:\d+|parts:\d+))?", "hash"),
        (_FLOW + ":edges", _BITMAP),
        (r"\{[^{}]+/_(?:flow|batch)/[^{}]+\}:totals", "hash"),
        (r"\{[^{}]+/_templates/00\}:all", "hash"),
        (r"\{[^{}]+\}:idempotency:.+", "string"),
        (r"\{[^{}]+\}:stack:[0-9a-f]+", "string"),
        (r"\{[^{}]+\}:unique:[0-9a-f]+", "string" + _MAY_STAY),
    )
]
_TERMINAL = {b"succeeded", b"cancelled", b"expired"}


async def find_leaks(client: Any, namespace: str) -> list[str]:
    """Return a complaint about every key of a namespace that should not be there, or should have a TTL."""
    keys = [key async for key in client.scan_iter(match=f"{namespace}:*", count=1000)]
    looks, jobs = client.pipeline(transaction=False), [key for key in keys if b"}:job:" in key]
    for key in keys:
        looks.type(key)
        looks.pttl(key)
    for key in jobs:
        looks.zscore(key.partition(b"}")[0] + b"}:outbox", key.rpartition(b":")[2])
        looks.hget(key, "state")
    # A key of another type is complained of as that, so the errors about it are not looked at.
    answers = iter(await looks.execute(raise_on_error=False) if keys else [])
    found = {key: _Found(next(answers).decode(), next(answers)) for key in keys}
    for key in jobs:
        found[key] = found[key]._replace(score=next(answers), state=next(answers))
    complaints = {key: await _complaint(client, key, namespace, one) for key, one in found.items()}
    return sorted(f"{key!r} {complaint}" for key, complaint in complaints.items() if complaint)


async def keys_of_tenant(client: Any, namespace: str, tenant: str) -> list[str]:
    """Return the keys with a tenant in their names."""
    found = [key.decode(errors="replace") async for key in client.scan_iter(match=f"{namespace}:*", count=1000)]
    return sorted(key for key in found if f"{{{tenant}/" in key)


async def mentions_of_tenant(client: Any, namespace: str, tenant: str) -> list[str]:
    """Return the keys of all tenants that have an entry of this one, but the audit trail and the id of its data key."""
    found, word = [], tenant.encode()
    async for key in client.scan_iter(match=f"{namespace}:*", count=1000):
        name = key.decode(errors="replace")
        if "{audit}" in name or "/" in name:
            continue
        kind = (await client.type(key)).decode()
        if kind == "set":
            entries = list(await client.smembers(key))
        elif kind == "zset":
            entries = list(await client.zrange(key, 0, -1))
        elif kind == "hash":
            fields = await client.hgetall(key)
            is_kept = name.endswith(":data_keys")
            entries = [part for pair in fields.items() if not (is_kept and pair[0] == word) for part in pair]
        else:
            continue
        if any(word in entry for entry in entries):
            found.append(name)
    return found


async def delete_namespace(client: Any, namespace: str) -> None:
    """Delete every key of a namespace."""
    deletions = client.pipeline(transaction=False)
    keys = [key async for key in client.scan_iter(match=f"{namespace}:*", count=1000)]
    for key in keys:
        deletions.delete(key)
    if keys:
        await deletions.execute()


class _Found(NamedTuple):
    """What there is of a key."""

    kind: str
    ttl_ms: int
    score: Any = None
    """That of a job in the outbox of its queue."""
    state: Any = None
    """That of a job."""


async def _complaint(client: Any, key: bytes, namespace: str, found: _Found) -> str:
    name = key.removeprefix(f"{namespace}:".encode())
    wanted = next((kind for pattern, kind in _KNOWN if pattern.fullmatch(name)), None)
    if found.kind == "none":
        return ""  # it ended while we looked
    if wanted is None or found.kind != wanted.removesuffix(_MAY_STAY):
        return f"is a {found.kind}, not a {wanted}" if wanted else "is no key of the Redis model"
    return await _complaint_of_type(client, key, wanted, found)


async def _complaint_of_type(client: Any, key: bytes, wanted: str, found: _Found) -> str:
    """Return a complaint about the end of a key that has the right type, or about its lack of one."""
    ends = found.ttl_ms != -1
    if wanted == "string":
        return "" if ends else "is a key without an end"
    if b"}:job:" in key:
        # One that ended, and whose children have not been told yet, is kept until they are.
        return _job_complaint(found.state, ends=ends or (found.score is not None and found.state in _TERMINAL))
    if key.endswith(b"}:held"):
        return "" if ends else "is a key without an end"
    if b"}:unique:" in key:
        return await _holder_complaint(client, key)
    if ends:
        return "has an end, and must not"
    return await _step_complaint(client, key) if b"}:steps:" in key or b"}:signals:" in key else ""


async def _step_complaint(client: Any, key: bytes) -> str:
    """Return a complaint about what is left of the steps of a job that has ended."""
    job = key.partition(b"}")[0] + b"}:job:" + key.rpartition(b":")[2]
    return "is of a job that has ended" if await client.hget(job, "state") in {None, *_TERMINAL} else ""


async def _holder_complaint(client: Any, key: bytes) -> str:
    """Return a complaint about a unique key of a job that has ended, or is gone."""
    if await client.pttl(key) != -1:
        return ""
    job = key.partition(b"}")[0] + b"}:job:" + (await client.get(key) or b"")
    state = await client.hget(job, "state")
    return "is the key of a job that has ended" if state in {None, b"dead", *_TERMINAL} else ""


def _job_complaint(state: bytes | None, *, ends: bool) -> str:
    if state in _TERMINAL and not ends:
        return f"is a job that has {state.decode()} and is kept for ever"
    if state not in _TERMINAL and ends:
        return f"is a job in state {state!r} and will vanish"
    return ""
