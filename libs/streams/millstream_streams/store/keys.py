"""Every Redis key, built here and nowhere else.

All keys of a queue share the hash tag `{tenant/type/partition}`, so that each script runs in one slot. Names that users
choose are inside the tag or at the end, never before a literal part: a job type that is named like one of our keys is
harmless.
"""

from functools import lru_cache

from msgspec import Struct

from millstream_contracts import JobId, JobType, Priority, Queue

DEFAULT_NAMESPACE = "ms"

PRIORITIES = (Priority.HIGH, Priority.NORMAL, Priority.LOW)
"""The priorities in the order of scripts, which number them from 1."""

GROUP = "workers"
"""The consumer group of every ready stream."""

HISTORY_GROUP = "history"
"""The consumer group that reads events into the history."""

WEBHOOKS_GROUP = "webhooks"
"""The consumer group that reads events for endpoints and callbacks. It is there only while one wants them."""


SCHEDULES_TYPE = JobType("_cron")
"""What stands in the tags of schedules where those of queues have a job type; no job type begins with `_`."""


class ScheduleKeys(Struct, frozen=True):
    """The keys of one shard of schedules."""

    ticks: str
    index: str
    outbox: str
    starts: str
    schedule_prefix: str
    script_keys: tuple[str, ...]
    """KEYS of the scripts in scripts/schedules, in the order that scripts/_schedules.lua names."""

    def schedule(self, name: str) -> str:
        """Return the key of the hash of a schedule or a backfill."""
        return self.schedule_prefix + name


class QueueKeys(Struct, frozen=True):
    """The keys of one queue."""

    ready: tuple[str, str, str]
    """Streams in the order of :data:`PRIORITIES`."""
    due: str
    dlq: str
    events: str
    settings: str
    expiring: str
    callbacks: str
    """Where the events of single jobs go, by job id."""
    job_prefix: str
    idempotency_prefix: str
    stack_prefix: str
    """Of the answers of workers where a handler is, by the number of the request; they expire within seconds."""
    script_keys: tuple[str, ...]
    """KEYS of every script, in the order that scripts/_queue.lua names."""

    def ready_of(self, priority: Priority) -> str:
        """Return the stream of ready jobs of a priority."""
        return self.ready[PRIORITIES.index(priority)]

    def job(self, job_id: JobId | str) -> str:
        """Return the key of a job's hash."""
        return self.job_prefix + job_id


class Keys:
    """Keys under one namespace, by default `ms`."""

    def __init__(self, namespace: str = DEFAULT_NAMESPACE) -> None:
        self.namespace = namespace
        self.queues = f"{namespace}:queues"
        """set of queue tags"""
        self.schedules = f"{namespace}:schedules"
        """set of the tags of shards of schedules"""
        # One tag, so that a script may write them together. No queue has it: a queue's has two slashes.
        self.types = f"{namespace}:{{fleet}}:types"
        """hash: what workers have registered, as scripts/_fleet.lua has it"""
        self.starts = f"{namespace}:{{fleet}}:starts"
        """zset: which workers are alive, and since when"""
        self.workers = f"{namespace}:{{fleet}}:workers"
        """hash: worker name to its last heartbeat"""
        self.fleet_keys = (self.types, self.starts, self.workers)
        """KEYS of every script with the part `fleet`, in the order that scripts/_fleet.lua names."""
        self.services = f"{namespace}:{{fleet}}:services"
        """hash: name of a process to its last heartbeat"""
        self.callbacks = f"{namespace}:{{fleet}}:callbacks"
        """hash: tag of a queue whose jobs have callbacks, to the Unix ms when one was submitted"""
        self.incidents = f"{namespace}:{{fleet}}:incidents"
        """hash: rule and key of an open incident, to what is known of it"""
        self.notices = f"{namespace}:{{fleet}}:notices"
        """hash: channel and key of a notice, to when it was sent or held back"""
        self.hint_due = self.hint("due")
        """channel: tag of a queue whose next due time moved closer"""
        self.hint_settled = self.hint("settled")
        """channel: id of a settled job that a client waits for"""
        self.of = lru_cache(maxsize=65_536)(self._of)

    def hint_cancel(self, worker: str) -> str:
        """Return the channel of the ids that this worker should stop."""
        return self.hint(f"cancel:{worker}")

    def hint(self, topic: str) -> str:
        """Return the channel of a hint by its name in scripts."""
        return f"{self.namespace}:hints:{topic}"

    def of_schedules(self, shard: Queue) -> ScheduleKeys:
        """Return the keys of a shard of schedules."""
        base = f"{self.namespace}:{{{shard.tag}}}"
        ticks, index, outbox, starts = (f"{base}:{name}" for name in ("ticks", "index", "outbox", "starts"))
        # The last one never exists, as below.
        script_keys = (ticks, index, outbox, starts, f"{base}:never")
        return ScheduleKeys(ticks, index, outbox, starts, f"{base}:sched:", script_keys)

    def _of(self, queue: Queue) -> QueueKeys:
        base = f"{self.namespace}:{{{queue.tag}}}"
        high, normal, low = (f"{base}:ready:{priority}" for priority in PRIORITIES)
        due, dlq, events, settings, expiring, callbacks = (
            f"{base}:{name}" for name in ("due", "dlq", "events", "settings", "expiring", "callbacks")
        )
        return QueueKeys(
            ready=(high, normal, low),
            due=due,
            dlq=dlq,
            events=events,
            settings=settings,
            expiring=expiring,
            callbacks=callbacks,
            job_prefix=f"{base}:job:",
            idempotency_prefix=f"{base}:idempotency:",
            stack_prefix=f"{base}:stack:",
            # The last one never exists. While a slot moves, Redis refuses (TRYAGAIN) a script of which one key is
            # missing, at both ends, from the first step to the last; else one could run where a job's hash is not.
            script_keys=(high, normal, low, due, dlq, events, settings, expiring, f"{base}:never"),
        )
