"""Group commit: stores the jobs of concurrent submissions together, one script call per queue at a time.

While a call for a queue is under way the next jobs collect; an idle queue is written to at once. A caller returns once
its jobs are stored, and a call that fails fails exactly the jobs that it carried.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct

from millstream_contracts import Queue, limits
from millstream_streams import (
    CONFIRM_WITHIN_S,
    Durability,
    Enqueued,
    JobStore,
    NewJob,
    StoreFullError,
    StoreUnavailableError,
)
from millstream_submission.deadline import Deadline
from millstream_submission.dependencies import weight_of
from millstream_submission.errors import BacklogFullError
from millstream_submission.known_queues import KnownQueues

ANSWER_WITHIN_S = 0.9
"""The time after which a request and its command are given up, because Redis may accept connections and stay silent;
where ingest is told no other."""

CALL_S = 0.4
"""The least time of a call, however long its oldest request has waited: a call that is cut short too soon would only
make the next ones later still.
"""

MAX_CALLS = 3
"""The number of calls under way for one queue. The second and third start only when they are full, because they would
otherwise make each other smaller.
"""


class Ticket(Struct, eq=False):
    """Some jobs of one request that wait to be stored."""

    jobs: Sequence[NewJob]
    outcome: "asyncio.Future[list[Enqueued]]"
    weight: int
    since: float
    """The beginning of the request, on the monotonic clock."""


class Lane:
    """The waiting jobs of one queue under one durability, and the number of its calls under way.

    Jobs that may be stored until a moment only have a lane of their own: it would make others late.
    """

    def __init__(self, queue: Queue, durability: Durability | None, until_s: float | None) -> None:
        self.queue = queue
        self.durability = durability
        self.until_s = until_s
        self.tickets: deque[Ticket] = deque()
        self.weight = 0
        """Of the waiting jobs, in a script call."""
        self.calls = 0

    def put(self, ticket: Ticket) -> None:
        """Add a ticket at the end."""
        self.tickets.append(ticket)
        self.weight += ticket.weight

    def take(self) -> list[Ticket]:
        """Remove the oldest tickets that fit into one call."""
        if self.weight <= limits.MAX_SCRIPT_JOBS:
            return self.give_up()
        load: list[Ticket] = []
        room = limits.MAX_SCRIPT_JOBS
        while self.tickets and self.tickets[0].weight <= room:
            ticket = self.tickets.popleft()
            room -= ticket.weight
            self.weight -= ticket.weight
            load.append(ticket)
        return load

    def give_up(self) -> list[Ticket]:
        """Remove all waiting tickets."""
        waiting, self.weight = list(self.tickets), 0
        self.tickets.clear()
        return waiting

    @property
    def wants_call(self) -> bool:
        """Whether a call should start now."""
        if not self.calls:
            return bool(self.tickets)
        return self.calls < MAX_CALLS and self.weight >= limits.MAX_SCRIPT_JOBS


Observe = Callable[[str, float, int], None]
"""Receives the outcome of a call (`ok`, `full` or `unavailable`), its seconds and its number of jobs."""


class GroupCommitter(AbstractAsyncContextManager["GroupCommitter"]):
    """Stores jobs while it is open."""

    def __init__(
        self,
        store: JobStore,
        queues: KnownQueues,
        *,
        max_backlog_jobs: int,
        answer_within_s: float = ANSWER_WITHIN_S,
        is_away: Callable[[], bool] = lambda: False,
        admit: Callable[[Queue, int], None] = lambda *_: None,
        observe: Observe = lambda *_: None,
    ) -> None:
        """Take the longest time of a request without its confirmation, and `is_away`.

        That says that Redis is known to be away, so that calls would only make connections.

        `admit` is told of so many jobs for a queue before they are stored, and may refuse them.
        """
        self._store = store
        self._queues = queues
        self._max_backlog_jobs = max_backlog_jobs
        self.answer_within_s = answer_within_s
        self._is_away = is_away
        self._admit = admit
        self._observe = observe
        self._lanes: dict[tuple[Queue, Durability | None, float | None], Lane] = {}
        self.backlog_jobs = 0
        """Jobs that wait or are being stored."""
        self._tasks: TaskGroup
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Self:
        # Kept, because asking for the running loop is a system call, and this is done for each submission.
        self._loop = asyncio.get_running_loop()
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is in flight ends first: its submitters wait for an answer.
        await self._tasks.__aexit__(kind, error, trace)

    def enqueue(
        self,
        queue: Queue,
        jobs: Sequence[NewJob],
        since: float | None = None,
        durability: Durability | None = None,
        until_s: float | None = None,
    ) -> "asyncio.Future[list[Enqueued]]":
        """Store jobs of one queue, as many as one call takes; await the result for their codes, in order.

        `since` is when the request began, on the monotonic clock, by default now; `until_s` as in
        :meth:`JobStore.enqueue`. A caller that is cancelled leaves its jobs to be stored.
        Raises: what `admit` raises, BacklogFullError, NotDurableError, StoreFullError, StoreUnavailableError.
        """
        if self._is_away():
            raise StoreUnavailableError("Redis refused a write a moment ago")
        if self.backlog_jobs + len(jobs) > self._max_backlog_jobs:
            raise BacklogFullError(self.backlog_jobs)
        self._admit(queue, len(jobs))
        ticket = Ticket(jobs, self._loop.create_future(), sum(map(weight_of, jobs)), since or time.monotonic())
        self.backlog_jobs += len(jobs)
        lane = self._lanes.get((queue, durability, until_s))
        if lane is None:
            lane = self._lanes[queue, durability, until_s] = Lane(queue, durability, until_s)
        lane.put(ticket)
        self._start_call(lane)
        return ticket.outcome

    def _within_s(self, lane: Lane) -> float:
        return self.answer_within_s + (CONFIRM_WITHIN_S if lane.durability else 0.0)

    def _start_call(self, lane: Lane) -> None:
        if lane.wants_call:
            lane.calls += 1
            self._tasks.start_soon(self._empty, lane)

    async def _empty(self, lane: Lane) -> None:
        """Make one call after the other until nothing waits."""
        while lane.tickets:
            load = lane.take()
            self._start_call(lane)
            await self._deliver(lane, load)
        lane.calls -= 1
        place = lane.queue, lane.durability, lane.until_s
        if not lane.calls and self._lanes.get(place) is lane:
            del self._lanes[place]

    async def _deliver(self, lane: Lane, load: list[Ticket]) -> None:
        """Store some jobs and resolve their tickets."""
        begun = time.monotonic()
        jobs = [job for ticket in load for job in ticket.jobs]
        deadline = max(begun + CALL_S, min(ticket.since for ticket in load) + self._within_s(lane))
        outcome, answers = await self._call(lane, jobs, deadline)
        self._observe(outcome, time.monotonic() - begun, len(jobs))
        if isinstance(answers, StoreUnavailableError):
            self._fail(load, answers)
            return
        self.backlog_jobs -= len(jobs)
        at = 0
        for ticket in load:
            end = at + len(ticket.jobs)
            if not ticket.outcome.done():  # else its caller was cancelled
                ticket.outcome.set_result(answers[at:end])
            at = end

    async def _call(
        self, lane: Lane, jobs: list[NewJob], deadline: float
    ) -> tuple[str, list[Enqueued] | StoreUnavailableError]:
        try:
            async with Deadline(self._loop, deadline - time.monotonic()):
                # The other services have to look after the queue before its first job is in it.
                await self._queues.make_known([lane.queue])
                if any(job.callback for job in jobs):
                    await self._queues.note_callbacks([lane.queue])
                # What is added to a batch was promised to it, and is not refused.
                is_capped = lane.until_s is None
                return "ok", await self._store.enqueue(
                    lane.queue, jobs, lane.durability, until_s=lane.until_s, is_capped=is_capped
                )
        except StoreFullError as error:
            return "full", error
        except StoreUnavailableError as error:
            return "unavailable", error
        except TimeoutError:
            silent = StoreUnavailableError(f"Redis did not answer within {self._within_s(lane):g} s")
            # The tickets behind this call would wait for as long once more, and fail alike.
            self._fail(lane.give_up(), silent)
            return "unavailable", silent

    def _fail(self, load: list[Ticket], error: StoreUnavailableError) -> None:
        for ticket in load:
            self.backlog_jobs -= len(ticket.jobs)
            if not ticket.outcome.done():  # else its caller was cancelled
                ticket.outcome.set_exception(error)
