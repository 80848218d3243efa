"""Writes the state of the system as text, to be sent to those who help."""

from collections.abc import Iterator

from millstream import System
from millstream_console.drawing.moments import absolute
from millstream_console.drawing.numbers import size


def report_of(system: System) -> str:
    """Return the checks, and the releases that run. It has no payloads, no secrets and no settings."""
    return "\n".join(_lines(system)) + "\n"


def _lines(system: System) -> Iterator[str]:
    yield f"Millstream, checked {absolute(system.looked_at)} UTC"
    for check in system.checks:
        yield f"{check.status:>4}  {check.name}: {check.detail}"
        yield from (f"      fix: {line}" for line in check.fix.splitlines())
    if system.redis is not None:
        yield f"Redis, {system.redis.mode}"
        for server in system.redis.servers:
            known = (server.server or "", server.version or "", size(server.used_bytes), server.unseen)
            yield f"      {server.role} {' '.join(part for part in known if part)}"
    if system.history is not None:
        history = system.history
        yield f"History, revision {history.revision} of {history.release_revision}, {size(history.size_bytes)}"
    if system.encryption is not None:
        yield f"Encryption, {system.encryption.encrypts}, and all of {system.encryption.tenants} tenants"
        for key in system.encryption.keys:
            state = "current" if key.is_current else "kept" if key.is_known else "lost"
            yield f"      {state} key-encryption key {key.id}, {key.data_keys} data keys"
    yield "Processes"
    for process in sorted(system.processes, key=lambda one: (one.service, one.name)):
        yield f"      {process.service} {process.version} {process.name}"
