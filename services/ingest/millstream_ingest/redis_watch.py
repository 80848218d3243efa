"""Asks Redis once a second whether it is there, so that probes can be answered without asking."""

from typing import NoReturn

import anyio

from millstream_streams import NEEDS, Broker, MissingRightError, StoreUnavailableError
from millstream_telemetry import FailureLog, Health, HealthCheck, Pulse

ASK_EVERY_S = 1.0
ASK_AWAY_EVERY_S = 0.5
ANSWER_WITHIN_S = 1.0
SUITABLE_WITHIN_S = 10.0
"""The first question goes to every server, and silent replicas and Sentinels are waited for."""
LOOP_WITHIN_S = 10.0


class RedisWatch:
    """Knows whether this process can accept submissions."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._is_suitable = False
        self._redis = HealthCheck("redis", ok=False, detail="not asked yet")
        self._loop = Pulse("event loop", LOOP_WITHIN_S)
        self.is_away = False
        """Whether Redis has refused the last question. To be silent for a moment is not enough: it may just be busy."""
        self._is_leaving = False
        self._failures = FailureLog("connection to Redis")

    async def run(self) -> NoReturn:
        """Watch until cancelled. Raises: UnsuitableRedisError."""
        while True:
            self._loop.beat()
            await self.look()
            await anyio.sleep(ASK_EVERY_S if self._redis.ok else ASK_AWAY_EVERY_S)

    async def look(self) -> None:
        """Ask once. Raises: UnsuitableRedisError, when Redis answers for the first time and loses jobs."""
        try:
            with anyio.fail_after(ANSWER_WITHIN_S if self._is_suitable else SUITABLE_WITHIN_S):
                await self._ask()
        except (StoreUnavailableError, TimeoutError) as error:
            self._failures.failed(error)
            self.is_away = isinstance(error, StoreUnavailableError)
            self._redis = HealthCheck("redis", ok=False, detail=_detail(error))
        else:
            self._failures.succeeded()
            self.is_away = False
            self._redis = HealthCheck("redis", ok=True)

    async def _ask(self) -> None:
        if self._is_suitable:
            await self._broker.ping()
        else:
            await self._broker.require_suitable(NEEDS["ingest"])
            self._is_suitable = True

    def leave(self) -> None:
        """Be unready from now on: the service was told to stop."""
        self._is_leaving = True

    def live(self) -> Health:
        """Return whether the event loop turns. No I/O; any thread may call it."""
        return Health.of([self._loop.check()])

    def ready(self) -> Health:
        """Return whether requests should be sent here. No I/O; any thread may call it."""
        serving = HealthCheck("serving", ok=not self._is_leaving, detail="stopping" if self._is_leaving else "")
        return Health.of([serving, self._redis])


def _detail(error: Exception) -> str:
    """Return what a probe may tell everybody: who may do what is for people to mend, and all else is for the log."""
    return str(error) if isinstance(error, MissingRightError) else "does not answer"
