"""Stores the jobs that were decided on, through the one pipeline of submissions. Run by every dispatcher.

A job is taken under a lease and stays in the outbox until it is confirmed. To store it again changes nothing, because
its id and its idempotency key are those of the decision.
"""

import time

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import SCHEDULE_TAG, SCHEDULED_FOR_TAG, UNDECODABLE, JobId, Queue, Submission, Tenant, moment
from millstream_runtime import DutyResult, Wake
from millstream_streams import START_LEASE_S, Broker, DecidedStart, for_each_queue
from millstream_submission import BuiltJob, SubmissionError, SystemSubmitter, held_by
from millstream_telemetry import JobTracer, ScheduleMetrics

LIMIT = 100
"""Jobs that are taken at a time."""

ROUNDS = 20
"""Rounds in a pass, after which the duty is asked to come back at once."""

HELD_FOR_S = START_LEASE_S - 1.0
"""For how long a dispatcher goes on with jobs that it could not store: shorter than its lease."""

_decode = msgspec.msgpack.Decoder(Submission).decode
_encode = msgspec.msgpack.Encoder().encode


class Starting(DutyResult, frozen=True):
    """The result of one pass."""

    stored: int = 0


class Held(Struct, frozen=True):
    """Jobs that were taken and could not be stored yet."""

    until_s: float
    """On the monotonic clock."""
    starts: list[DecidedStart]


class Starter:
    """A duty. It is woken by decisions and by hints."""

    name = "starter"

    def __init__(
        self,
        broker: Broker,
        submitter: SystemSubmitter,
        tracer: JobTracer,
        metrics: ScheduleMetrics,
        *,
        interval_s: float,
        wake: Wake,
    ) -> None:
        self.interval_s = interval_s
        self.wake = wake
        self._broker = broker
        self._submitter = submitter
        self._tracer = tracer
        self._metrics = metrics
        self._held: dict[Queue, Held] = {}
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Starting:
        """Store what is decided in every shard. Returns: when to come back."""
        stored, waits_ms, is_full = 0, list[int](), False

        async def empty(shard: Queue) -> None:
            nonlocal stored, is_full
            confirmed: list[tuple[JobId, str]] = []
            if (held := self._held.pop(shard, None)) and time.monotonic() < held.until_s:
                confirmed = await self._store(shard, held.starts, held.until_s)
            for _ in range(ROUNDS):
                taken = await self._broker.schedules.take_starts(shard, LIMIT, confirmed)
                stored += sum(not refusal for _, refusal in confirmed)
                confirmed = [(job_id, "cannot be read") for job_id in taken.unreadable]
                if not taken.starts and not confirmed:
                    waits_ms.extend([] if taken.next_in_ms is None else [taken.next_in_ms])
                    return
                confirmed += await self._store(shard, taken.starts, time.monotonic() + HELD_FOR_S)
            await self._broker.schedules.take_starts(shard, 0, confirmed)
            is_full = True

        await for_each_queue(await self._broker.schedules.shards(), empty)
        return Starting(more=is_full, next_in_s=min(waits_ms) / 1000 if waits_ms else None, stored=stored)

    async def _store(self, shard: Queue, starts: list[DecidedStart], until_s: float) -> list[tuple[JobId, str]]:
        """Store jobs. Returns: each with why it was refused, or an empty text. Raises: StoreError."""
        self._held[shard] = Held(until_s, starts)
        refused: list[tuple[JobId, str]] = []
        built: list[BuiltJob] = []
        for start in starts:
            try:
                built.append(await self._build(shard.tenant, start))
            except (SubmissionError, *UNDECODABLE) as error:
                self._metrics.count("refused")
                self._log.warning("job of a schedule refused", schedule=start.name, job_id=start.id, reason=str(error))
                refused.append((start.id, str(error)))
        answers = await self._submitter.store(built)
        del self._held[shard]
        for one, answer in zip(built, answers, strict=True):
            # Another job stands for it, or keeps it out: this one will never be.
            refused.append((one.job.id, self._refuse(one, held_by(answer.holder)) if answer.holder else ""))
        return refused

    def _refuse(self, built: BuiltJob, reason: str) -> str:
        self._metrics.count("refused")
        schedule = (built.decoded.submission.tags or {}).get(SCHEDULE_TAG, "")
        self._log.warning("job of a schedule refused", schedule=schedule, job_id=built.job.id, reason=reason)
        return reason

    async def _build(self, tenant: Tenant, start: DecidedStart) -> BuiltJob:
        nominal = msgspec.to_builtins(moment(start.nominal_ms))
        submission = _decode(start.submission)
        tags = {**(submission.tags or {}), SCHEDULE_TAG: start.schedule, SCHEDULED_FOR_TAG: nominal}
        late_s = max(0.0, self._broker.clock.now_s() - start.nominal_ms / 1000)
        with self._tracer.occasion(start.schedule, nominal, late_s) as span:
            return await self._submitter.build(
                tenant,
                _encode(replace(submission, tags=tags)),
                b"schedule:" + start.id.encode(),
                caller=span.context,
                job_id=start.id,
            )
