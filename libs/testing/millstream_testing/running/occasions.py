"""Submits the jobs of an app's schedules when a test moves the clock over their occasions."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream.schedules import DeclaredSchedule
from millstream_contracts import (
    DEFAULT_TENANT,
    SCHEDULE_TAG,
    SCHEDULED_FOR_TAG,
    JobId,
    ScheduleDefinition,
    Submission,
    ms_of,
)
from millstream_schedules import Occasion, Timing, timing_of
from millstream_submission import SystemSubmitter
from millstream_telemetry import NO_TRACE
from millstream_testing.memory.ledger import Ledger
from millstream_testing.virtual_clock import VirtualClock

Cancel = Callable[[str], Awaitable[object]]

_decode = msgspec.msgpack.Decoder(Submission).decode
_encode = msgspec.msgpack.Encoder().encode


class _Watched(Struct):
    """A schedule, and what has become of its occasions."""

    name: str
    definition: ScheduleDefinition
    timing: Timing
    next: Occasion | None = None
    last: JobId | None = None
    """The last job."""
    waiting: datetime | None = None
    """The nominal time of the occasion that waits for the last job to end."""


class Occasions:
    """Fires occasions by the clock of the kit, each at its time; so none is ever missed."""

    def __init__(
        self,
        schedules: Iterable[DeclaredSchedule],
        submitter: SystemSubmitter,
        ledger: Ledger,
        clock: VirtualClock,
        cancel: Cancel,
    ) -> None:
        self._watched = [_Watched(one.name, one.definition, timing_of(one.definition, one.name)) for one in schedules]
        self._submitter = submitter
        self._ledger = ledger
        self._clock = clock
        self._cancel = cancel

    def begin(self) -> None:
        """Begin with the occasions after now: those that a test went past while it ran a job did not happen."""
        for one in self._watched:
            one.next = one.timing.next_after(self._clock.now() - one.timing.put_off)

    def next_moment(self) -> int | None:
        """Return when the next occasion fires, in Unix ms; None when there is none."""
        return min((ms_of(one.next.fires_at) for one in self._watched if one.next), default=None)

    async def fire(self) -> None:
        """Submit the jobs of the occasions whose time has come, as far as the overlap of their schedules allows."""
        for one in self._watched:
            while one.next is not None and ms_of(one.next.fires_at) <= self._clock.now_ms:
                nominal, one.next = one.next.nominal, one.timing.next_after(one.next.nominal)
                await self._arrive(one, nominal)
            if one.waiting is not None and not self._is_under_way(one):
                await self._start(one, one.waiting)

    async def _arrive(self, one: _Watched, nominal: datetime) -> None:
        overlap = one.definition.overlap
        if overlap == "allow" or not self._is_under_way(one):
            await self._start(one, nominal)
        elif overlap != "skip":
            one.waiting = nominal
            if overlap == "cancel-running":
                await self._cancel(str(one.last))

    async def _start(self, one: _Watched, nominal: datetime) -> None:
        one.waiting = None
        scheduled_for = msgspec.to_builtins(nominal)
        submission = _decode(one.definition.job)
        tags = {**(submission.tags or {}), SCHEDULE_TAG: one.name, SCHEDULED_FOR_TAG: scheduled_for}
        key = f"schedule:{one.name}:{scheduled_for}".encode()
        content = _encode(replace(submission, tags=tags))
        built = await self._submitter.build(DEFAULT_TENANT, content, key, caller=NO_TRACE)
        [stored] = await self._submitter.store([built])
        # An occasion whose job another one keeps out has none.
        one.last = None if stored.holder else stored.id

    def _is_under_way(self, one: _Watched) -> bool:
        return one.last is not None and not self._ledger.jobs[one.last].state.is_settled
