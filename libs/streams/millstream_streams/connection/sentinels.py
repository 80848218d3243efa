"""Asks the Sentinels of an address for the primary, and explains why none of them names one.

Redis-py asks in the same way, and then says "No master found", whether they are away, require a password, or do not
know the service.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

from millstream_streams.connection.diagnosis import (
    Diagnosis,
    NoPrimaryError,
    NotConnectedError,
    Peer,
    Verdict,
    diagnose,
)


class Sentinels(Sentinel):
    """Clients of Sentinels, made by the caller."""

    def __init__(self, clients: Sequence["Redis"]) -> None:
        super().__init__([])  # type: ignore[no-untyped-call]
        self.sentinels = list(clients)

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the address of the primary. Raises: NoPrimaryError, with the answer of each Sentinel."""
        failures: list[NotConnectedError] = []
        for number, sentinel in enumerate(self.sentinels):
            found = await self._ask(sentinel, service_name)
            if isinstance(found, NotConnectedError):
                failures.append(found)
                continue
            # It is asked first from now on.
            self.sentinels[0], self.sentinels[number] = sentinel, self.sentinels[0]
            return found
        raise NoPrimaryError(failures)

    async def _ask(self, sentinel: "Redis", service: str) -> tuple[str, int] | NotConnectedError:
        try:
            states: Any = await sentinel.sentinel_masters()
            state = states.get(service)
        except NotConnectedError as error:
            return error
        except RedisError as error:
            diagnosis = _diagnosed(error, _peer(sentinel))
        else:
            if state is not None and self.check_master_state(state, service):
                return state["ip"], state["port"]
            diagnosis = _UNKNOWN if state is None else _DOWN
        return NotConnectedError(_peer(sentinel), diagnosis)


_UNKNOWN = Diagnosis(Verdict.REFUSED, "knows no service of that name")
_DOWN = Diagnosis(Verdict.AWAY, "says that the primary is down")
_NO_SENTINEL = Diagnosis(Verdict.WRONG, "is no Sentinel")


def _diagnosed(error: RedisError, peer: Peer) -> Diagnosis:
    if "unknown command" in str(error).lower():
        return _NO_SENTINEL
    return diagnose(error, peer, connected=True)


def _peer(sentinel: "Redis") -> Peer:
    options: dict[str, Any] = sentinel.connection_pool.connection_kwargs
    secrets = (options["password"],) if options.get("password") else ()
    return Peer(options["host"], options["port"], answer_within_s=options["socket_timeout"], secrets=secrets)
