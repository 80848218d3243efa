"""Checks Redis once a second, so that probes can be answered without a request to it."""

import asyncio
from typing import NoReturn

import anyio

from millstream_runtime import FailureLog, Health, HealthCheck, Pulse
from millstream_streams import NEEDS, Broker, MissingRightError, StoreUnavailableError
from millstream_submission.deadline import Deadline

ASK_EVERY_S = 1.0
ASK_AWAY_EVERY_S = 0.5
FIRST_ANSWER_WITHIN_S = 10.0
"""The time of the first check, which connects to every server, through Sentinels and TLS, and waits for silent ones."""

_DETAILS = {
    "away": "does not answer",
    "refused": "refuses this service; its log says why",
    "full": "is full",
}
"""The texts of readiness, by reason. They may appear on the public port, so they name no address."""

LOOP_WITHIN_S = 10.0


class RedisWatch:
    """Records whether this process can accept submissions."""

    def __init__(self, broker: Broker, *, answer_within_s: float) -> None:
        """Take how long an answer of Redis may take, except the first."""
        self._broker = broker
        self.answer_within_s = answer_within_s
        self._is_suitable = False
        self._redis = HealthCheck("redis", ok=False, detail="not asked yet")
        self._loop = Pulse("event loop", LOOP_WITHIN_S)
        self.is_away = False
        """Whether Redis has refused the last check. A moment of silence does not count, because Redis may just be busy.
        """
        self._is_leaving = False
        self._failures = FailureLog("connection to Redis")

    async def run(self) -> NoReturn:
        """Watch until cancelled. Raises: UnsuitableRedisError."""
        while True:
            self._loop.beat()
            await self.look(self.answer_within_s if self._is_suitable else FIRST_ANSWER_WITHIN_S)
            await anyio.sleep(ASK_EVERY_S if self._redis.ok else ASK_AWAY_EVERY_S)

    async def look(self, within_s: float) -> None:
        """Check Redis once.

        Raises: UnsuitableRedisError, when Redis responds for the first time and loses jobs, or is none.
        """
        try:
            async with Deadline(asyncio.get_running_loop(), within_s):
                await self._ask()
        except StoreUnavailableError as error:
            self._note(error, is_away=True)
        except TimeoutError:
            self._note(StoreUnavailableError(f"Redis did not answer within {within_s:g} s"), is_away=False)
        else:
            self._failures.succeeded()
            self.is_away = False
            self._redis = HealthCheck("redis", ok=True)
            await self._broker.look_at_clock()

    def _note(self, error: StoreUnavailableError, *, is_away: bool) -> None:
        self._failures.failed(error)
        self.is_away = is_away
        self._redis = HealthCheck("redis", ok=False, detail=_detail(error))

    async def _ask(self) -> None:
        if self._is_suitable:
            await self._broker.ping()
        else:
            await self._broker.require_suitable(NEEDS["ingest"])
            self._is_suitable = True

    def leave(self) -> None:
        """Be unready from now on, because the service was told to stop."""
        self._is_leaving = True

    def live(self) -> Health:
        """Return whether the event loop runs. No I/O; any thread may call it."""
        return Health.of([self._loop.check()])

    def ready(self) -> Health:
        """Return whether requests should be sent here. No I/O; any thread may call it."""
        serving = HealthCheck("serving", ok=not self._is_leaving, detail="stopping" if self._is_leaving else "")
        return Health.of([serving, self._redis])


def _detail(error: StoreUnavailableError) -> str:
    """Return what a probe may tell everyone: a missing right, which an operator can grant; all else is for the log."""
    return str(error) if isinstance(error, MissingRightError) else _DETAILS[error.reason]
