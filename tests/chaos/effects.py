"""Handlers leave their effects outside of the system: a line of JSON per effect, an append-only file per process."""

import json
import os
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from millstream import Context, DurableContext, SyncContext
from millstream_contracts import JobId

FOLDER = "CHAOS_EFFECTS"
"""The variable that names the folder. It does not begin with MILLSTREAM_, because the product would refuse an unknown
setting.
"""

DOWN = "down"
"""The name of the file beside the effects that is there while what brittle handlers need is away."""


class Effect(Struct, frozen=True):
    """One effect of a handler."""

    event: str
    """`started`, `done`, `submitted` with the id of a child, or `given` and `kept` with a step."""
    job: JobId
    key: str
    """The submitter's name of the job."""
    fence: int
    attempt: int
    pid: int
    at_ms: int
    """Unix ms."""
    child: str = ""
    step: str = ""
    """Of a durable handler: which one, and what it gave."""


_decode = msgspec.json.Decoder(Effect).decode


def leave(event: str, ctx: Context | DurableContext | SyncContext, key: str, child: str = "", step: str = "") -> None:
    """Append an effect in one write to a file opened for appending, so that it is neither lost nor torn."""
    line = {
        "event": event,
        "job": ctx.job_id,
        "key": key,
        "fence": ctx.fence,
        "attempt": ctx.attempt,
        "pid": os.getpid(),
        "at_ms": time.time_ns() // 1_000_000,
        "child": child,
        "step": step,
    }
    path = Path(os.environ[FOLDER], f"{os.getpid()}.jsonl")
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


def read_effects(folder: Path) -> list[Effect]:
    """Return all effects, oldest first. A torn line does not count, because its writer died in it."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines() if line.endswith(b"}")]
    return sorted((_decode(line) for line in lines), key=lambda effect: effect.at_ms)
