"""Finds out whether another release that runs beside this one may read a job that this one cannot.

In a rolling upgrade an older worker meets jobs of the newer release, and the other way round. Such a job waits for a
worker of the release that takes it, at no cost. It is dead once every live release has tried. Only a job that cannot
be decoded leads here.
"""

import math
import random
import time
from collections.abc import Mapping

import structlog

from millstream.handler import Handler
from millstream_contracts import Backoff, JobType, Queue, Tenant
from millstream_streams import Delivery, JobStore, Registry, StoreError, digest_of
from millstream_streams.store.specs import UNREADABLE
from millstream_workers.attempt.attempt_result import Unreadable
from millstream_workers.errors import UnreadableJobError

ELSEWHERE_AFTER = Backoff(kind="exponential", base_s=0.125, cap_s=5.0)
"""The delay of a job for another release: short at first, since every second worker may be of that release, and then
longer.
"""

FRESH_FOR_S = 1.0
"""How long an answer of the registry is used: half of all jobs may be of the other release."""


class ReleaseFinder:
    """Asks the registry which releases handle a type, and notes with the job which of them could not read it."""

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        handlers: Mapping[JobType, Handler],
        *,
        code_version: str,
    ) -> None:
        self._store = store
        self._registry = registry
        self._handlers = handlers
        self._code_version = code_version
        self._digests: dict[JobType, str] = {}
        """The digests of this release's registrations, once they are computed."""
        self._asked: dict[tuple[Tenant, JobType], tuple[float, set[str]]] = {}
        """The time of the last question to the registry, and its answer."""
        self._log = structlog.get_logger().bind()

    async def look(self, delivery: Delivery, error: BaseException) -> Unreadable:
        """Return what is to be decided about a job that this release cannot decode."""
        if delivery.spec is UNREADABLE:
            error = UnreadableJobError("what is stored of the job is broken, or was written by a newer release")
        return Unreadable(error, await self._elsewhere_after_s(delivery))

    async def look_newer(self, delivery: Delivery) -> Unreadable | None:
        """Return that another release is to run a job by settings that this one does not know; None when none is left.

        Then it is run by what is known of it: after a rollback, to bury it would be worse.
        """
        after_s = await self._elsewhere_after_s(delivery)
        return None if after_s is None else Unreadable(UnreadableJobError("a newer release has added to it"), after_s)

    async def _elsewhere_after_s(self, delivery: Delivery) -> float | None:
        try:
            if not await self._others_may_read(delivery):
                return None
        except StoreError as away:
            # To wait costs the job nothing, to be dead for want of an answer would.
            self._log.warning("releases not known", job_id=delivery.id, error=str(away))
        after_s = _after_s(delivery.deliveries)
        self._log.info("job left to another release", job_id=delivery.id, type=delivery.queue.type, delay_s=after_s)
        return after_s

    async def _others_may_read(self, delivery: Delivery) -> bool:
        queue = delivery.queue
        others = self._known_others(queue) or await self._ask_others(queue)
        if not others:
            return False
        tried = await self._store.note_unreadable(queue, delivery.id, delivery.token, self._own(queue.type))
        # Only what was just asked may bury a job: a release may have come since.
        return bool(others - tried) or bool(await self._ask_others(queue) - tried)

    def _known_others(self, queue: Queue) -> set[str]:
        asked_at, others = self._asked.get((queue.tenant, queue.type), (-math.inf, set()))
        return others if time.monotonic() < asked_at + FRESH_FOR_S else set()

    async def _ask_others(self, queue: Queue) -> set[str]:
        """Return the digests of what other live releases have registered for a type."""
        known = await self._registry.registrations(queue.tenant)
        others = {one.digest for one in known.get(queue.type, [])} - {self._own(queue.type)}
        self._asked[queue.tenant, queue.type] = time.monotonic(), others
        return others

    def _own(self, job_type: JobType) -> str:
        if job_type not in self._digests:
            self._digests[job_type] = digest_of(self._handlers[job_type].registration(self._code_version))
        return self._digests[job_type]


def _after_s(deliveries: int) -> float:
    bound_s = ELSEWHERE_AFTER.bound_s(deliveries)
    return random.uniform(bound_s / 2, bound_s)
