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


WORKFLOWS_TYPE = JobType("_flow")
"""As :data:`SCHEDULES_TYPE`, of workflows."""

BATCHES_TYPE = JobType("_batch")
"""As :data:`SCHEDULES_TYPE`, of batches."""

QUOTA_TYPE = JobType("_quota")
"""As :data:`SCHEDULES_TYPE`, of what stands for a tenant where scripts about its quota have a queue."""


class FlowKeys(Struct, frozen=True):
    """The keys of one shard of workflows or of batches."""

    outbox: str
    checks: str
    index: str
    totals: str
    ended: str
    prefix: str
    script_keys: tuple[str, ...]
    """KEYS of the scripts in scripts/workflows and scripts/batches, in the order that scripts/_flows.lua names."""

    def part(self, flow_id: str, name: str = "") -> str:
        """Return the key of the hash of a workflow or a batch, or of a part of it."""
        return f"{self.prefix}{flow_id}{':' if name else ''}{name}"


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
    outbox: str
    """Jobs that have settled, and whose children have to be told."""
    blocked: str
    """Jobs that wait for others to settle."""
    erased: str
    """Of which workflows and batches jobs were that were erased, until these know it."""
    callbacks: str
    """Where the events of single jobs go, by job id."""
    flow: str
    """What a gate keeps beside its lanes, also the state of a circuit breaker."""
    probes: str
    """Jobs that a circuit breaker lets in while it is half-open."""
    job_prefix: str
    lane_prefix: str
    """Of the lists of jobs that limits hold back, by `<priority index>:<key>`."""
    singles_prefix: str
    """Of the lists of those whose keys have no other, by priority index."""
    ring_prefix: str
    """Of the turns of those lists, by priority index."""
    slots: str
    """How many entries each key has in the streams, of a queue with limits."""
    rates: str
    """Up to when the rate of each key is spent."""
    waiting: str
    """The keys that wait until their rate is free, or until they are held back no more."""
    held: str
    """Up to when handlers hold keys back."""
    open_prefix: str
    """Of the open parents of blocked jobs, by job id."""
    children_prefix: str
    """Of the blocked jobs that wait for a job, by the id of that."""
    idempotency_prefix: str
    steps_prefix: str
    """Of what durable handlers keep, by job id."""
    signals_prefix: str
    """Of the signals that no handler has taken yet, by job id."""
    unique_prefix: str
    """Of the ids of the jobs that hold unique keys, by the digest of the key."""
    stack_prefix: str
    """Of the answers of workers where a handler is, by the number of the request; they expire within seconds."""
    script_keys: tuple[str, ...]
    """KEYS of every script, in the order that scripts/_queue.lua names."""

    def ready_of(self, priority: Priority) -> str:
        """Return the stream of ready jobs of a priority."""
        return self.ready[PRIORITIES.index(priority)]

    def lane_of(self, priority: Priority, key: str = "") -> str:
        """Return the list of the jobs of a priority and a key, percent-encoded, that a limit holds back."""
        return f"{self.lane_prefix}{PRIORITIES.index(priority) + 1}:{key}"

    def singles_of(self, priority: Priority) -> str:
        """Return the list of the jobs of a priority whose keys have no other; each item is `<id> <key>`."""
        return f"{self.singles_prefix}{PRIORITIES.index(priority) + 1}"

    def ring_of(self, priority: Priority) -> str:
        """Return the turns of the lists of a priority."""
        return f"{self.ring_prefix}{PRIORITIES.index(priority) + 1}"

    def job(self, job_id: JobId | str) -> str:
        """Return the key of a job's hash."""
        return self.job_prefix + job_id


class Keys:
    """Keys under one namespace, by default `ms`."""

    def __init__(self, namespace: str = DEFAULT_NAMESPACE) -> None:  # noqa: PLR0915 - one line a key
        self.namespace = namespace
        self.queues = f"{namespace}:queues"
        """set of the tags of the queues that the services look at"""
        self.dormant = f"{namespace}:{{fleet}}:dormant"
        """zset: tag of a queue in which nothing is left to do, to the Unix ms since when no service looks at it"""
        self.schedules = f"{namespace}:schedules"
        """set of the tags of shards of schedules"""
        self.workflows = f"{namespace}:workflows"
        """set of the tags of shards of workflows"""
        self.batches = f"{namespace}:batches"
        """set of the tags of shards of batches"""
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
        # A tag of their own, so that one script may write both.
        self.api_keys = f"{namespace}:{{control}}:keys"
        """hash: id of a key of the API to what is stored of it, and `!version`"""
        self.sessions = f"{namespace}:{{control}}:sessions"
        """hash: id of a session to what is stored of it, as of a key, and `!version`"""
        self.api_key_uses = f"{namespace}:{{control}}:uses"
        """hash: id of a key of the API or of a session to the Unix ms of its last use"""
        self.rates = f"{namespace}:{{control}}:rates"
        """zset: name of a limit of the API to the Unix us up to which it is spent"""
        self.data_keys = f"{namespace}:{{control}}:data_keys"
        """hash: a tenant to the id of its present data key; tenant and id of a data key to that, wrapped"""
        # Also a tag of their own: records of changes are many beside the keys.
        self.audit_open = f"{namespace}:{{audit}}:open"
        """hash: id of an action that has begun to what is known of it"""
        self.audit_trail = f"{namespace}:{{audit}}:trail"
        """stream: audit records that wait for the history"""
        self.audit_heads = f"{namespace}:{{audit}}:heads"
        """hash: tenant to the number and the hash of its last record in the history"""
        self.tenants = f"{namespace}:{{control}}:tenants"
        """hash: name of a tenant to what is stored of it"""
        self.hint_due = self.hint("due")
        """channel: tag of a queue whose next due time moved closer"""
        self.hint_outbox = self.hint("outbox")
        """channel: tag of a queue in which a job has settled whose children have to be told"""
        self.hint_settled = self.hint("settled")
        """channel: id of a settled job that a client waits for"""
        self.hint_queues = self.hint("queues")
        """channel: tags of queues, with a space between them, of which some are new or were dormant"""
        self.hint_keys = self.hint("keys")
        """channel: keys of the API have changed"""
        self.of = lru_cache(maxsize=65_536)(self._of)

    def hint_cancel(self, worker: str) -> str:
        """Return the channel of the ids that this worker should stop."""
        return self.hint(f"cancel:{worker}")

    def hint(self, topic: str) -> str:
        """Return the channel of a hint by its name in scripts."""
        return f"{self.namespace}:hints:{topic}"

    def templates(self, tenant: str) -> str:
        """Return the hash of a tenant's templates: name to what was put. Its tag is that of no queue."""
        return f"{self.namespace}:{{{tenant}/_templates/00}}:all"

    def of_schedules(self, shard: Queue) -> ScheduleKeys:
        """Return the keys of a shard of schedules."""
        base = f"{self.namespace}:{{{shard.tag}}}"
        ticks, index, outbox, starts = (f"{base}:{name}" for name in ("ticks", "index", "outbox", "starts"))
        # The last one never exists, as below.
        script_keys = (ticks, index, outbox, starts, f"{base}:never")
        return ScheduleKeys(ticks, index, outbox, starts, f"{base}:sched:", script_keys)

    def of_workflows(self, shard: Queue) -> FlowKeys:
        """Return the keys of a shard of workflows."""
        return self._of_flows(shard, "flow")

    def of_batches(self, shard: Queue) -> FlowKeys:
        """Return the keys of a shard of batches."""
        return self._of_flows(shard, "batch")

    def _of_flows(self, shard: Queue, kind: str) -> FlowKeys:
        base = f"{self.namespace}:{{{shard.tag}}}"
        outbox, checks, index, totals, ended = (
            f"{base}:{name}" for name in ("outbox", "checks", "index", "totals", "ended")
        )
        script_keys = (outbox, checks, index, totals, ended, f"{base}:never")
        return FlowKeys(outbox, checks, index, totals, ended, f"{base}:{kind}:", script_keys)

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
            outbox=f"{base}:outbox",
            blocked=f"{base}:blocked",
            erased=f"{base}:erased",
            callbacks=callbacks,
            flow=f"{base}:flow",
            probes=f"{base}:probes",
            job_prefix=f"{base}:job:",
            lane_prefix=f"{base}:backlog:",
            singles_prefix=f"{base}:singles:",
            ring_prefix=f"{base}:ring:",
            slots=f"{base}:slots",
            rates=f"{base}:rates",
            waiting=f"{base}:waiting",
            held=f"{base}:held",
            open_prefix=f"{base}:after:",
            children_prefix=f"{base}:kids:",
            idempotency_prefix=f"{base}:idempotency:",
            steps_prefix=f"{base}:steps:",
            signals_prefix=f"{base}:signals:",
            unique_prefix=f"{base}:unique:",
            stack_prefix=f"{base}:stack:",
            # The last one never exists. While a slot moves, Redis refuses (TRYAGAIN) a script of which one key is
            # missing, at both ends, from the first step to the last; else one could run where a job's hash is not.
            script_keys=(high, normal, low, due, dlq, events, settings, expiring, f"{base}:never"),
        )
