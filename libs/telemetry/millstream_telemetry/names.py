"""Every span, attribute, metric and log field of Millstream, by name.

Nothing else in the code spells one out. `docs/telemetry.md` lists the same, and a test keeps the two equal.
"""

from typing import Literal

from msgspec import Struct

SCOPE = "millstream"
"""Name of the tracer, so that our spans can be told from those of user code."""


class SpanSpec(Struct, frozen=True):
    """A span, as people meet it in a trace."""

    name: str
    kind: Literal["SERVER", "PRODUCER", "CONSUMER", "INTERNAL"]
    made_by: str
    meaning: str


class FieldSpec(Struct, frozen=True):
    """An attribute of spans, or a field of log lines."""

    name: str
    meaning: str


class MetricSpec(Struct, frozen=True):
    """A metric, as it stands on `/metrics`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in the unit of its name."""


# Spans. `{...}` stands for what the functions below fill in.

SPANS = (
    SpanSpec("{method} {route}", "SERVER", "ingest", "a request, such as `POST /v1/jobs`"),
    SpanSpec(
        "send {type}",
        "PRODUCER",
        "ingest, workers",
        "a job was stored, and how long that took; the parent of what follows. Links to the attempts of up to 32 jobs "
        "that it waits for",
    ),
    SpanSpec(
        "process {type}", "CONSUMER", "workers", "one delivery, most often an attempt; links to the one before it"
    ),
    SpanSpec("{handler}", "INTERNAL", "workers", "the handler function; the spans of user code nest here"),
    SpanSpec(
        "call {type}",
        "INTERNAL",
        "workers",
        "one call of a batch handler; links, both ways, to the handler spans of up to 32 of its jobs",
    ),
    SpanSpec("search", "INTERNAL", "ingest", "a search in the history"),
    SpanSpec(
        "recover",
        "INTERNAL",
        "reaper",
        "a job was taken back from a worker that vanished; links to the delivery it had",
    ),
    SpanSpec(
        "bury", "INTERNAL", "reaper", "a job is dead because its worker vanished too often; links to the last delivery"
    ),
    SpanSpec(
        "redrive",
        "INTERNAL",
        "ingest, dispatcher",
        "a dead job was redriven; links to its last delivery and, both ways, to the request or page of an operation",
    ),
    SpanSpec("operation {kind}", "INTERNAL", "dispatcher", "one page of an operation on many jobs"),
    SpanSpec("fire {schedule}", "INTERNAL", "dispatcher", "an occasion of a schedule, the root of its job's trace"),
    SpanSpec(
        "send workflow {name}",
        "PRODUCER",
        "ingest",
        "a workflow was stored; the parent of the `send` of its nodes, and of its `workflow`",
    ),
    SpanSpec("workflow {name}", "INTERNAL", "dispatcher", "a workflow from its submission to its end"),
    SpanSpec(
        "send batch {name}",
        "PRODUCER",
        "ingest",
        "a batch was stored; the parent of the `send` of its callbacks, and of its `batch`",
    ),
    SpanSpec("batch {name}", "INTERNAL", "dispatcher", "a batch from its submission to its end"),
)

SEARCH = "search"
RECOVER = "recover"
BURY = "bury"
REDRIVE = "redrive"


def operation_span(kind: str) -> str:
    """Return the name of the span of a page of an operation."""
    return f"operation {kind}"


def fire_span(schedule: str) -> str:
    """Return the name of the span of an occasion of a schedule."""
    return f"fire {schedule}"


def batch_call_span(job_type: str) -> str:
    """Return the name of the span of a call of a batch handler."""
    return f"call {job_type}"


def send_workflow_span(name: str) -> str:
    """Return the name of the span whose context a workflow carries for life."""
    return f"send workflow {name}"


def workflow_span(name: str) -> str:
    """Return the name of the span of a workflow."""
    return f"workflow {name}"


def send_batch_span(name: str) -> str:
    """Return the name of the span whose context a batch carries for life."""
    return f"send batch {name}"


def batch_span(name: str) -> str:
    """Return the name of the span of a batch."""
    return f"batch {name}"


def server_span(method: str, route: str) -> str:
    """Return the name of a request's span. The route is the template, never the path with ids in it."""
    return f"{method} {route}"


def send_span(job_type: str) -> str:
    """Return the name of the span whose context a job carries for life."""
    return f"send {job_type}"


def process_span(job_type: str) -> str:
    """Return the name of an attempt's span."""
    return f"process {job_type}"


RETRY_SCHEDULED = "retry scheduled"
"""Event on a failed attempt that will be tried again, with the attribute :data:`DELAY_S`."""

SNOOZED = "snoozed"
"""Event on a delivery that was snoozed, with the attribute :data:`DELAY_S`."""

STEP_SAVED = "step saved"
"""Event on a delivery whose durable handler has stored a step, with :data:`STEP_NAME` and :data:`STEP_KIND`."""

DEAD = "dead"
"""Event on the last delivery of a dead job, and on `bury`, with the attribute :data:`JOB_REASON`."""

# Attributes. Source: OpenTelemetry semantic conventions for messaging, HTTP, code and errors.

HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
URL_PATH = "url.path"
URL_QUERY = "url.query"
URL_SCHEME = "url.scheme"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
PROTOCOL_VERSION = "network.protocol.version"
USER_AGENT = "user_agent.original"
SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
MESSAGE_ID = "messaging.message.id"
CONSUMER_GROUP = "messaging.consumer.group.name"
CLIENT_ID = "messaging.client.id"
BATCH_COUNT = "messaging.batch.message_count"
CODE_FUNCTION = "code.function.name"
ERROR_TYPE = "error.type"
JOB_ATTEMPT = "millstream.job.attempt"
STEP_NAME = "millstream.step.name"
STEP_KIND = "millstream.step.kind"
JOB_DELIVERY = "millstream.job.delivery"
JOB_QUEUE_WAIT_MS = "millstream.job.queue_wait_ms"
JOB_TENANT = "millstream.job.tenant"
JOB_OUTCOME = "millstream.job.outcome"
JOB_REASON = "millstream.job.reason"
DELAY_S = "delay_s"
SEARCH_WAY = "millstream.search.way"
SEARCH_JOBS = "millstream.search.jobs"
SEARCH_COMPLETE = "millstream.search.complete"
OPERATION_ID = "millstream.operation.id"
SCHEDULE = "millstream.schedule"
SCHEDULED_FOR = "millstream.scheduled_for"
LATENESS_S = "millstream.lateness_s"
WORKFLOW_ID = "millstream.workflow.id"
WORKFLOW_STATE = "millstream.workflow.state"
WORKFLOW_NODES = "millstream.workflow.nodes"
"""Prefix of one number for each state that nodes ended in."""
BATCH_ID = "millstream.batch.id"
BATCH_STATE = "millstream.batch.state"
BATCH_MEMBERS = "millstream.batch.members"
"""Prefix of one number for each state that members ended in."""

ATTRIBUTES = (
    FieldSpec(HTTP_METHOD, "method of the request"),
    FieldSpec(HTTP_ROUTE, "route template of the request"),
    FieldSpec(HTTP_STATUS, "status of the answer"),
    FieldSpec(URL_PATH, "path of the request, at most 256 characters of it"),
    FieldSpec(URL_QUERY, "query of the request, at most 256 characters of it"),
    FieldSpec(URL_SCHEME, "`http` or `https`, as ingest was reached"),
    FieldSpec(SERVER_ADDRESS, "host that the client named"),
    FieldSpec(SERVER_PORT, "port that the client named"),
    FieldSpec(PROTOCOL_VERSION, "version of HTTP, such as `1.1`"),
    FieldSpec(USER_AGENT, "what the client calls itself, at most 256 characters of it"),
    FieldSpec(SYSTEM, "`millstream`"),
    FieldSpec(OPERATION_NAME, "`send` or `process`"),
    FieldSpec(OPERATION_TYPE, "`send` or `process`"),
    FieldSpec(DESTINATION, "job type"),
    FieldSpec(MESSAGE_ID, "job id"),
    FieldSpec(CONSUMER_GROUP, "`workers`"),
    FieldSpec(
        CLIENT_ID,
        "name of the worker that has the job, or had it, as `GET /v1/workers` shows it; on `send`, of the worker whose "
        "handler submits",
    ),
    FieldSpec(BATCH_COUNT, "number of jobs in a batch request, or on the page of an operation"),
    FieldSpec(CODE_FUNCTION, "qualified name of the handler function"),
    FieldSpec(
        ERROR_TYPE, "what failed: the type of an exception, `timeout`, `lost`, `crashed`, or a status of 500 or more"
    ),
    FieldSpec(JOB_ATTEMPT, "number of the attempt, from 1; a delivery that is none has that of the next one"),
    FieldSpec(JOB_DELIVERY, "number of the delivery, from 1; the fencing token"),
    FieldSpec(JOB_QUEUE_WAIT_MS, "milliseconds the job was ready before this delivery"),
    FieldSpec(JOB_TENANT, "tenant of the job"),
    FieldSpec(
        JOB_OUTCOME,
        "what became of the delivery: `ok`, `error`, `timeout`, `snoozed`, `cancelled`, `handed_back`, `lost`, or "
        "`dead` when the job died of it",
    ),
    FieldSpec(JOB_REASON, "why a job was recovered or is dead"),
    FieldSpec(DELAY_S, "seconds until the next delivery, on the events `retry scheduled` and `snoozed`"),
    FieldSpec(OPERATION_ID, "id of the operation on many jobs that a page belongs to, or that redrove a job"),
    FieldSpec(SCHEDULE, "name of the schedule, on `fire`"),
    FieldSpec(SCHEDULED_FOR, "nominal time of the occasion, on `fire`"),
    FieldSpec(LATENESS_S, "seconds from when the occasion was due until its job was sent"),
    FieldSpec(WORKFLOW_ID, "id of the workflow"),
    FieldSpec(WORKFLOW_STATE, "in which a workflow has ended"),
    FieldSpec(f"{WORKFLOW_NODES}.{{state}}", "how many nodes have ended so"),
    FieldSpec(BATCH_ID, "id of the batch"),
    FieldSpec(BATCH_STATE, "in which a batch has ended"),
    FieldSpec(f"{BATCH_MEMBERS}.{{state}}", "how many members have ended so"),
    FieldSpec(SEARCH_WAY, "how a search has found its page, as in `millstream_search_seconds`"),
    FieldSpec(SEARCH_JOBS, "number of jobs on the page of a search"),
    FieldSpec(SEARCH_COMPLETE, "false for a page of a search whose time was over"),
)

# Metrics. Base units; no ids and no free text as labels.

JOB_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""5 ms to 30 min: what people wait for."""

CALL_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Half a millisecond to 5 s: what programs wait for."""

PASS_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
BATCH_JOBS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0, 10_000.0)

SEARCH_OUTCOMES = ("complete", "partial", "refused", "unavailable")
SEARCH_WAYS = ("plain", "walk", "index", "scan", "none")
REFUSAL_REASONS = ("backlog", "key-backlog")
SUBMISSION_OUTCOMES = ("accepted", "replayed", "unique", "rejected", "unavailable")
"""`unique`: nothing was stored, because the job that is returned holds the unique key."""
ON_CONFLICT = ("return", "reject", "replace")
ENQUEUE_OUTCOMES = ("ok", "full", "unavailable")
ATTEMPT_OUTCOMES = ("ok", "error", "timeout", "lost", "snoozed", "cancelled", "handed_back", "stale")
RECOVERY_REASONS = ("lease_expired", "never_started", "buried", "stray")

DEMAND_STATES = ("queued", "running", "due_soon")

OTHER_TYPE = "_other"
"""Label for a job type that no worker has registered. No job type can be spelt like this."""

BUILD_INFO = MetricSpec(
    "millstream_build_info", "gauge", ("component", "version"), "1: this process is a component of this release"
)
READY = MetricSpec(
    "millstream_ready",
    "gauge",
    ("component", "check"),
    "1 while a check of `/readyz` passes, else 0; `redis` is one of each component",
)
JOBS_SUBMITTED = MetricSpec(
    "millstream_jobs_submitted_total",
    "counter",
    ("type", "outcome"),
    f"Jobs asked for, by what became of the request: {', '.join(SUBMISSION_OUTCOMES)}",
)
SUBMISSIONS_REFUSED = MetricSpec(
    "millstream_submissions_refused_total",
    "counter",
    ("type", "reason"),
    "Submissions refused for the sake of others: backlog, because the queue has as many jobs as its cap allows, "
    "key-backlog, because the key has",
)
UNIQUE_CONFLICTS = MetricSpec(
    "millstream_unique_conflicts_total",
    "counter",
    ("type", "on_conflict"),
    "Submissions whose unique key another job held, by what they ask for then: return, reject or replace",
)
JOBS_FINISHED = MetricSpec(
    "millstream_jobs_finished_total",
    "counter",
    ("type", "state"),
    "Jobs that came to rest: succeeded, cancelled, expired or dead",
)
JOB_ATTEMPTS = MetricSpec(
    "millstream_job_attempts_total",
    "counter",
    ("type", "outcome"),
    f"Deliveries that ended, by outcome: {', '.join(ATTEMPT_OUTCOMES)}",
)
JOB_QUEUE_WAIT = MetricSpec(
    "millstream_job_queue_wait_seconds",
    "histogram",
    ("type",),
    "From ready to handed over to a worker; a delay that was asked for is not counted",
    JOB_SECONDS,
)
JOB_RUN = MetricSpec("millstream_job_run_seconds", "histogram", ("type",), "Run time of handlers", JOB_SECONDS)
ENQUEUE = MetricSpec(
    "millstream_enqueue_seconds",
    "histogram",
    ("outcome",),
    f"Time to store a batch of submissions, by outcome: {', '.join(ENQUEUE_OUTCOMES)}",
    CALL_SECONDS,
)
ENQUEUE_BATCH = MetricSpec(
    "millstream_enqueue_batch_size", "histogram", (), "Jobs stored together by one call", BATCH_JOBS
)
OPERATION_JOBS = MetricSpec(
    "millstream_operation_jobs_total",
    "counter",
    ("kind", "outcome"),
    "Jobs that operations have acted on, by outcome: done, refused",
)
LIVE_LISTENERS = MetricSpec("millstream_live_listeners", "gauge", (), "Clients that follow events over this process")
LIVE_GAPS = MetricSpec(
    "millstream_live_gaps_total", "counter", (), "Times that a client was too slow for its events and has missed some"
)
QUEUE_JOBS = MetricSpec(
    "millstream_queue_jobs",
    "gauge",
    ("type", "state", "priority"),
    "Jobs in a queue: queued by priority, running, scheduled and blocked without one",
)
QUEUE_PARKED = MetricSpec("millstream_queue_parked_jobs", "gauge", ("type",), "Queued jobs that a limit holds back")
QUEUE_LANES = MetricSpec(
    "millstream_queue_lanes",
    "gauge",
    ("type",),
    "Lanes of a queue with limits in which jobs wait for their turn: one for each key and priority",
)
QUEUE_KEYS_FULL = MetricSpec(
    "millstream_queue_keys_full", "gauge", ("type",), "Keys of which as many jobs run as their limit lets"
)
QUEUE_KEYS_RATE_LIMITED = MetricSpec(
    "millstream_queue_keys_rate_limited",
    "gauge",
    ("type",),
    "Keys whose rate is spent, until it lets one more start",
)
QUEUE_OLDEST_READY = MetricSpec(
    "millstream_queue_oldest_ready_age_seconds", "gauge", ("type",), "How long the longest waiting job has been ready"
)
BREAKER_STATE = MetricSpec(
    "millstream_breaker_state",
    "gauge",
    ("type",),
    "State of a circuit breaker: 0 closed, 1 half-open, 2 open, 3 open by hand; none without one",
)
BREAKER_OPENED = MetricSpec(
    "millstream_breaker_opened",
    "gauge",
    ("type",),
    "How often a circuit breaker has opened since it was set; the same on every dispatcher",
)
QUEUE_HELD = MetricSpec(
    "millstream_queue_held", "gauge", ("type",), "1 while a handler holds all jobs of the type back"
)
HOLDS = MetricSpec(
    "millstream_holds_total",
    "counter",
    ("type", "gate"),
    "Snoozes by which a handler has held back its type or its key, by gate: type, key",
)
QUEUE_PAUSED = MetricSpec("millstream_queue_paused", "gauge", ("type",), "1 when the queue is paused")
DEAD_JOBS = MetricSpec("millstream_dead_jobs", "gauge", ("type",), "Dead jobs that wait for a decision")
DEAD_OLDEST = MetricSpec(
    "millstream_dead_oldest_age_seconds", "gauge", ("type",), "How long the oldest dead job has waited"
)
OUTBOX_ENTRIES = MetricSpec(
    "millstream_outbox_entries", "gauge", (), "Jobs that have settled, and whose blocked children have to be told"
)
OUTBOX_OLDEST = MetricSpec(
    "millstream_outbox_oldest_seconds", "gauge", (), "How long ago the first of them has settled"
)
RESOLVED = MetricSpec(
    "millstream_resolved_total",
    "counter",
    ("outcome",),
    "What became of blocked jobs that were told of a parent: ready, noted, kept, cancelled, dead, unknown_job",
)
DEMAND_JOBS = MetricSpec(
    "millstream_demand_jobs",
    "gauge",
    ("type", "state"),
    f"Jobs that need a slot of a worker now or soon: {', '.join(DEMAND_STATES)}; of a paused queue only those that run",
)
DEMAND_SLOTS = MetricSpec("millstream_demand_slots", "gauge", ("type",), "Slots of the live workers that take the type")
WANTED_WORKERS = MetricSpec(
    "millstream_wanted_workers", "gauge", ("type",), "Workers that there should be, if they took this type alone"
)
FLEET_WORKERS = MetricSpec("millstream_fleet_workers", "gauge", (), "Live workers, those that are stopping left out")
FLEET_SLOTS = MetricSpec("millstream_fleet_slots", "gauge", (), "Slots of all live workers")
FLEET_WANTED_WORKERS = MetricSpec(
    "millstream_fleet_wanted_workers", "gauge", (), "Workers that there should be, where each takes every type"
)
WORKER_SLOTS = MetricSpec("millstream_worker_slots", "gauge", (), "Jobs this worker may run at once")
WORKER_SLOTS_BUSY = MetricSpec("millstream_worker_slots_busy", "gauge", (), "Jobs this worker runs now")
WORKER_RSS = MetricSpec("millstream_worker_rss_bytes", "gauge", (), "Resident memory of this worker")
WORKER_LOOP_LAG = MetricSpec(
    "millstream_worker_loop_lag_seconds",
    "histogram",
    (),
    "How late the event loop was; a handler that blocks it shows here",
    CALL_SECONDS,
)
LOOP_BLOCKED = MetricSpec(
    "millstream_loop_blocked_total",
    "counter",
    ("type",),
    "Attempts whose handler has blocked the event loop for longer than MILLSTREAM_BLOCKED_LOOP_S",
)
BATCH_CALL_JOBS = MetricSpec(
    "millstream_batch_call_jobs", "histogram", ("type",), "Jobs of one call of a batch handler", BATCH_JOBS
)
LOG_LINES_DROPPED_REASONS = ("bounds", "rate")
LOG_LINES_DROPPED = MetricSpec(
    "millstream_log_lines_dropped_total",
    "counter",
    ("type", "reason"),
    "Log lines that were not kept with their attempt: it had more than its bounds allow, or its worker sent too many",
)
STEPS_SAVED = MetricSpec(
    "millstream_steps_saved_total",
    "counter",
    ("type",),
    "Steps of durable handlers that were stored, with sleeps and waits that have ended",
)
SIGNAL_OUTCOMES = ("delivered", "kept", "replayed", "refused")
SIGNALS = MetricSpec(
    "millstream_signals_total",
    "counter",
    ("outcome",),
    f"Signals that clients have sent to jobs, by outcome: {', '.join(SIGNAL_OUTCOMES)}",
)
AUTH_REFUSAL_REASONS = (
    "missing",
    "malformed",
    "unknown",
    "ended",
    "untrusted",
    "expired",
    "limited",
    "scope",
    "network",
    "role",
    "issuer",
)
AUTH_REFUSED = MetricSpec(
    "millstream_auth_refused_total",
    "counter",
    ("reason",),
    f"Requests refused for their credentials, by reason: {', '.join(AUTH_REFUSAL_REASONS)}",
)
LIMIT_POLICIES = ("submissions", "requests", "tenant-submissions", "tenant-requests")
LIMITED = MetricSpec(
    "millstream_requests_limited_total",
    "counter",
    ("policy",),
    f"Requests refused because a limit is spent, by the limit: {', '.join(LIMIT_POLICIES)}",
)
TOKENS_MISSED = MetricSpec(
    "millstream_rate_tokens_missed_total",
    "counter",
    (),
    "Leases of tokens that Redis did not answer; ingest then limits by itself",
)
ISSUER_READ_OUTCOMES = ("ok", "failed")
ISSUER_READS = MetricSpec(
    "millstream_issuer_reads_total",
    "counter",
    ("issuer", "outcome"),
    f"Times that the keys of an issuer of tokens were read, by outcome: {', '.join(ISSUER_READ_OUTCOMES)}",
)
ISSUER_LAST_READ = MetricSpec(
    "millstream_issuer_last_read_timestamp_seconds",
    "gauge",
    ("issuer",),
    "Unix time at which the keys of an issuer of tokens were last read; 0 until they were",
)
AUDIT_OUTCOMES = ("done", "refused", "failed", "unrecorded")
AUDIT_RECORDS = MetricSpec(
    "millstream_audit_records_total",
    "counter",
    ("outcome",),
    f"Actions of principals, by outcome: {', '.join(AUDIT_OUTCOMES)}; the last one for those whose end could not be "
    "recorded, and for refusals that were too many",
)
AUDIT_WAITING = MetricSpec(
    "millstream_audit_records_waiting", "gauge", (), "Audit records in Redis that the history does not have yet"
)
AUDIT_LAG = MetricSpec(
    "millstream_audit_lag_seconds",
    "gauge",
    (),
    "How old the oldest audit record is that waits for the history; NaN where there is no history",
)
RECOVERED = MetricSpec(
    "millstream_recovered_total",
    "counter",
    ("type", "reason"),
    f"Deliveries taken back from workers that vanished, by reason: {', '.join(RECOVERY_REASONS)}",
)
DUTY_LAST_SUCCESS = MetricSpec(
    "millstream_duty_last_success_timestamp_seconds",
    "gauge",
    ("component", "duty"),
    "Unix time at which the duty last ended without an error; 0 until it has",
)
DUTY = MetricSpec("millstream_duty_seconds", "histogram", ("duty",), "Time of one pass of a duty", PASS_SECONDS)
EVENTS_LOST = MetricSpec(
    "millstream_events_lost_total", "counter", (), "Events trimmed before every consumer had read them"
)
HISTORY_LAG = MetricSpec(
    "millstream_history_lag_seconds",
    "gauge",
    (),
    "How old the oldest event was that this dispatcher last stored, or could not store yet; 0 when there was none, NaN "
    "when there was none and the database does not answer",
)
HISTORY_WORKFLOWS = MetricSpec(
    "millstream_history_workflows_waiting",
    "gauge",
    (),
    "Workflows that have ended and that the history does not have yet; NaN until a dispatcher has looked",
)
HISTORY_WORKFLOW_LAG = MetricSpec(
    "millstream_history_workflow_lag_seconds",
    "gauge",
    (),
    "How long ago the first of the workflows ended that this dispatcher could not store yet; 0 when there is none, NaN "
    "until it has looked",
)
HISTORY_GAPS = MetricSpec(
    "millstream_history_gaps", "gauge", (), "Queues whose history lacks events that were lost, until it is repaired"
)
HISTORY_DAYS_AHEAD = MetricSpec(
    "millstream_history_days_ahead",
    "gauge",
    (),
    "For how many days from tomorrow on the history has partitions, without a gap; -1 when today has none, NaN until a "
    "dispatcher has looked",
)
WEBHOOK_RECIPIENTS = ("endpoint", "callback")
WEBHOOK_EVENTS = MetricSpec(
    "millstream_webhook_events_total",
    "counter",
    ("recipient",),
    "Events for which a delivery was submitted, by recipient: endpoint, callback",
)
WEBHOOK_ENDPOINTS = MetricSpec(
    "millstream_webhook_endpoints", "gauge", ("state",), "Endpoints of webhooks by state: enabled, disabled"
)
SCHEDULE_OUTCOMES = ("fired", "skipped", "missed", "refused")
SCHEDULE_FIRED = MetricSpec(
    "millstream_schedule_fired_total",
    "counter",
    ("outcome",),
    f"Occasions of schedules by outcome: {', '.join(SCHEDULE_OUTCOMES)}",
)
SCHEDULE_LATENESS = MetricSpec(
    "millstream_schedule_lateness_seconds",
    "histogram",
    (),
    "From when an occasion was due until it was decided that its job starts",
    JOB_SECONDS,
)
QUEUES = MetricSpec(
    "millstream_queues",
    "gauge",
    ("state",),
    "Queues by state: active, which the services look at, and dormant; the same on every dispatcher",
)
SCHEDULES = MetricSpec(
    "millstream_schedules",
    "gauge",
    ("state",),
    "Schedules by state: active, paused, orphan, done; the same on every dispatcher",
)
TENANTS = MetricSpec(
    "millstream_tenants",
    "gauge",
    ("state",),
    "Tenants by state: active, suspended, deleting; the same on every dispatcher",
)
WORKFLOWS = MetricSpec(
    "millstream_workflows",
    "gauge",
    ("state",),
    "Workflows by state: running, stalled, cancelling, succeeded, failed, cancelled; the same on every dispatcher",
)
WORKFLOW_STARTS = MetricSpec(
    "millstream_workflow_starts_total",
    "counter",
    ("outcome",),
    "Nodes of workflows that were taken: started, refused because no job can be made of them, undone by a cancellation",
)
WORKFLOW_REPAIRS = MetricSpec(
    "millstream_workflow_repairs_total",
    "counter",
    ("what",),
    "What Redis had lost of workflows: restarted, nodes whose jobs were gone",
)
BATCHES = MetricSpec(
    "millstream_batches",
    "gauge",
    ("state",),
    "Batches by state: open, running, stalled, cancelling, succeeded, failed, cancelled; the same on every dispatcher",
)
BATCH_CALLBACKS = MetricSpec(
    "millstream_batch_callbacks_total",
    "counter",
    ("event", "outcome"),
    "Callbacks of batches: started, refused because no job can be made of them",
)
BATCH_PROMISES = MetricSpec(
    "millstream_batch_promises_total",
    "counter",
    ("outcome",),
    "Promised members that their submitter did not confirm: found, dropped because it has not stored their jobs",
)
BATCH_REPAIRS = MetricSpec(
    "millstream_batch_repairs_total",
    "counter",
    ("what",),
    "What Redis had lost of batches: lost, members whose jobs were gone; restarted, callbacks whose jobs were",
)
INCIDENTS = MetricSpec(
    "millstream_incidents", "gauge", ("rule",), "Open incidents by rule; the same on every dispatcher"
)
NOTICES = MetricSpec(
    "millstream_notices_total",
    "counter",
    ("channel", "outcome"),
    "Notices by channel and outcome: sent, held (more than a channel gets in an hour)",
)
SEARCH_SECONDS = MetricSpec(
    "millstream_search_seconds",
    "histogram",
    ("way", "outcome"),
    f"Searches of the history, by how the page was found ({', '.join(SEARCH_WAYS)}) and what became of them: "
    f"{', '.join(SEARCH_OUTCOMES)}; a refused one came while too many were under way",
    CALL_SECONDS,
)
CONSOLE_PAGE = MetricSpec(
    "millstream_console_page_seconds",
    "histogram",
    ("route", "status"),
    "Pages and forms of the console, by route and status, until the answer begins",
    CALL_SECONDS,
)
SIGN_IN_OUTCOMES = ("signed-in", "refused", "limited", "unavailable", "denied", "stray")
CONSOLE_SIGN_INS = MetricSpec(
    "millstream_console_sign_ins_total",
    "counter",
    ("outcome",),
    f"Attempts to sign in to the console, by outcome: {', '.join(SIGN_IN_OUTCOMES)}",
)
CONSOLE_VIEWERS = MetricSpec("millstream_console_viewers", "gauge", (), "Pages of the console that are kept fresh")
CONSOLE_VIEWS = MetricSpec(
    "millstream_console_views", "gauge", (), "Different pages among them: each is read once for all who look at it"
)
REDIS = MetricSpec(
    "millstream_redis_seconds", "histogram", ("script",), "Round trip of a script or command", CALL_SECONDS
)
REDIS_RECONNECTS = MetricSpec(
    "millstream_redis_reconnects_total", "counter", (), "Connections to Redis made anew after an error"
)
COMPRESSED_BYTES = MetricSpec(
    "millstream_compressed_bytes_total",
    "counter",
    ("side",),
    "Bytes of payloads and results that were stored compressed: `before` and `after`; the difference was saved",
)
DECRYPTION_FAILURES = ("key-lost", "damaged", "no-keys")
DECRYPTIONS_FAILED = MetricSpec(
    "millstream_decryptions_failed_total",
    "counter",
    ("component", "reason"),
    "Encrypted values that could not be read: `key-lost`, when the data key or the key-encryption key is not there; "
    "`damaged`, when they were changed, cut off or moved from another job; `no-keys`, when the process has none",
)

METRICS = (
    BUILD_INFO,
    READY,
    JOBS_SUBMITTED,
    SUBMISSIONS_REFUSED,
    UNIQUE_CONFLICTS,
    JOBS_FINISHED,
    JOB_ATTEMPTS,
    JOB_QUEUE_WAIT,
    JOB_RUN,
    ENQUEUE,
    ENQUEUE_BATCH,
    OPERATION_JOBS,
    LIVE_LISTENERS,
    LIVE_GAPS,
    QUEUE_JOBS,
    OUTBOX_ENTRIES,
    OUTBOX_OLDEST,
    RESOLVED,
    QUEUE_OLDEST_READY,
    QUEUE_PARKED,
    QUEUE_LANES,
    QUEUE_KEYS_FULL,
    QUEUE_KEYS_RATE_LIMITED,
    BREAKER_STATE,
    BREAKER_OPENED,
    QUEUE_HELD,
    HOLDS,
    QUEUE_PAUSED,
    DEAD_JOBS,
    DEAD_OLDEST,
    DEMAND_JOBS,
    DEMAND_SLOTS,
    WANTED_WORKERS,
    FLEET_WORKERS,
    FLEET_SLOTS,
    FLEET_WANTED_WORKERS,
    WORKER_SLOTS,
    WORKER_SLOTS_BUSY,
    WORKER_RSS,
    WORKER_LOOP_LAG,
    LOOP_BLOCKED,
    BATCH_CALL_JOBS,
    LOG_LINES_DROPPED,
    STEPS_SAVED,
    SIGNALS,
    AUTH_REFUSED,
    LIMITED,
    TOKENS_MISSED,
    ISSUER_READS,
    ISSUER_LAST_READ,
    AUDIT_RECORDS,
    AUDIT_WAITING,
    AUDIT_LAG,
    RECOVERED,
    DUTY_LAST_SUCCESS,
    DUTY,
    EVENTS_LOST,
    HISTORY_GAPS,
    HISTORY_DAYS_AHEAD,
    HISTORY_LAG,
    HISTORY_WORKFLOWS,
    HISTORY_WORKFLOW_LAG,
    SEARCH_SECONDS,
    WEBHOOK_EVENTS,
    WEBHOOK_ENDPOINTS,
    SCHEDULE_FIRED,
    SCHEDULE_LATENESS,
    QUEUES,
    SCHEDULES,
    TENANTS,
    WORKFLOWS,
    WORKFLOW_STARTS,
    WORKFLOW_REPAIRS,
    BATCHES,
    BATCH_CALLBACKS,
    BATCH_PROMISES,
    BATCH_REPAIRS,
    INCIDENTS,
    NOTICES,
    CONSOLE_PAGE,
    CONSOLE_SIGN_INS,
    CONSOLE_VIEWERS,
    CONSOLE_VIEWS,
    REDIS,
    REDIS_RECONNECTS,
    COMPRESSED_BYTES,
    DECRYPTIONS_FAILED,
)

# Log fields.

ATTEMPT_FINISHED = "attempt finished"
"""Event of the one canonical line per finished attempt."""

LOG_FIELDS = (
    FieldSpec("timestamp", "RFC 3339, UTC"),
    FieldSpec("level", "`debug`, `info`, `warning`, `error` or `critical`"),
    FieldSpec("event", "what happened; the same words every time"),
    FieldSpec("service", "which service wrote the line"),
    FieldSpec("logger", "name of the library that wrote the line, when it was not Millstream"),
    FieldSpec("trace_id", "trace that the line belongs to"),
    FieldSpec("span_id", "span that was current"),
    FieldSpec("job_id", "job id"),
    FieldSpec("job_ids", "ids of the jobs of one call of a batch handler, of 20 at most"),
    FieldSpec("type", "job type"),
    FieldSpec("attempt", "number of the attempt, from 1"),
    FieldSpec("delivery", "number of the delivery, from 1"),
    FieldSpec("outcome", "what became of the attempt, as in `millstream_job_attempts_total`"),
    FieldSpec("queue_wait_ms", "milliseconds the job was ready before this delivery"),
    FieldSpec("run_ms", "milliseconds the handler ran"),
    FieldSpec("error_type", "type of the error, as in the span's `error.type`"),
    FieldSpec("delay_s", "seconds until the next attempt or pass"),
    FieldSpec("tenant", "tenant of the job"),
    FieldSpec("worker", "name of the worker process"),
    FieldSpec("duty", "name of the duty"),
    FieldSpec("failures", "passes of the duty that failed in a row"),
    FieldSpec("fingerprint", "what equal errors have in common"),
    FieldSpec("reason", "why, in one of few fixed words"),
    FieldSpec(
        "error",
        "what a library said, in one line; never with a payload. Of a failed attempt its message, where "
        "MILLSTREAM_LOG_ERROR_MESSAGES says so",
    ),
    FieldSpec("signal", "signal that was received"),
    FieldSpec("revision", "revision of the tables of the history database"),
    FieldSpec("day", "day of the history"),
    FieldSpec("jobs_kept", "jobs that had not ended, which the history keeps"),
    FieldSpec("endpoint", "endpoint of webhooks"),
    FieldSpec("rule", "rule of an incident"),
    FieldSpec("about", "what an incident is about, such as a job type"),
    FieldSpec("summary", "what is wrong, in a sentence"),
    FieldSpec("channel", "channel of notices"),
    FieldSpec("running", "handlers that run"),
    FieldSpec("concurrency", "handlers that may run at once"),
    FieldSpec("jobs", "number of jobs concerned"),
    FieldSpec("code", "how Redis answered a commit"),
    FieldSpec("entries", "stream entries concerned"),
    FieldSpec("cap", "entries that a stream may have at most"),
    FieldSpec("released", "jobs that became ready"),
    FieldSpec("expired", "jobs that expired"),
    FieldSpec("seconds", "seconds that something is given"),
    FieldSpec("method", "HTTP method"),
    FieldSpec("route", "HTTP route, as a pattern"),
    FieldSpec("status", "HTTP status"),
    FieldSpec("problem", "kind of the problem that was answered, as in `/problems`"),
    FieldSpec("dependency", "what a request wanted of: `redis`, `history`, or `ingest` itself"),
    FieldSpec("requests", "requests, or items of a batch, that the line stands for"),
    FieldSpec("host", "address that is listened on"),
    FieldSpec("port", "port that is listened on"),
    FieldSpec("drain_s", "seconds for which a leaving service goes on to serve"),
    FieldSpec("grace_s", "seconds that what runs may take to end"),
    FieldSpec("exception", "traceback, as text; of a failed attempt the frames of users' code, without a message"),
    FieldSpec("lines", "lines that could not be written before this one"),
    FieldSpec("left_out", "fields for which a line had no room"),
)
