"""Values that the API document shows. The requests are of job types that `make up` runs as it comes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from millstream_contracts import (
    ActionReport,
    ActionResult,
    BatchItem,
    BatchReceipt,
    BulkOperation,
    Canary,
    DeadGroup,
    DeadGroups,
    DeadLetter,
    DeadLetterPage,
    DeadSample,
    Demand,
    DutyInfo,
    EncryptionStatus,
    ErrorPlace,
    ExportOptions,
    Facet,
    Facets,
    FacetValue,
    FieldError,
    HistoryStatus,
    Job,
    JobCount,
    JobDependencies,
    JobError,
    JobEvent,
    JobExplanation,
    JobId,
    JobStack,
    JobState,
    JobStep,
    JobSteps,
    JobType,
    KeyEncryptionKey,
    LogLine,
    NewOperation,
    OpenIncident,
    OperationGroup,
    OperationRefusal,
    OperationSample,
    OperationState,
    Page,
    PayloadChange,
    Priority,
    ProcessStatus,
    Progress,
    QueueStatus,
    Reason,
    ReasonCode,
    RedisServer,
    RedisStatus,
    RelatedJob,
    RunningJob,
    SearchHint,
    SearchHints,
    SecretWebhook,
    SignalReceipt,
    StatPoint,
    StatRelease,
    Stats,
    StatsByType,
    System,
    SystemCheck,
    Timeline,
    TimelineAttempt,
    TimelineItem,
    TypePolicy,
    TypeRegistration,
    TypeStats,
    Webhook,
    WebhookSecret,
    WorkerInfo,
)
from millstream_ingest.api.listing import Listing
from millstream_ingest.api.operation import Example
from millstream_ingest.http.problems import INVALID_REQUEST
from millstream_runtime import Health, HealthCheck, HealthOverview

REPORT_TYPE = JobType("report.generate")
_DEAD_TYPE = JobType("demo.poison")
_ID = JobId("report.generate_0001JD3YQ8Z7M4T6V0RXKBN5C2WA")
_DEAD_ID = JobId("demo.poison_0001JD3YQ8Z8B1C9QW2N6KFH3RTE")
_OTHER_ID = JobId("demo.poison_0001JD3YQ8Z9X2D4GF7H8JKM5PQS")
_CREATED_AT = datetime(2026, 11, 26, 15, 0, 0, tzinfo=UTC)
_STARTED_AT = datetime(2026, 11, 26, 15, 0, 1, tzinfo=UTC)
_FINISHED_AT = datetime(2026, 11, 26, 15, 0, 2, tzinfo=UTC)
_PAYLOAD = {"name": "sales", "rows": [{"city": "Oslo", "sold": 3}], "format": "csv"}
_TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
_ERROR = JobError(type="PoisonError", message="this job cannot succeed", fingerprint="5f1c2d", attempt=3)

_REPORT = {"type": REPORT_TYPE, "payload": _PAYLOAD}
_FLAKY = {"type": "demo.flaky", "priority": "high", "tags": {"source": "docs"}}
_DELAYED = {"type": "demo.delayed", "delay_s": 5, "expires_in_s": 3600}
_POISON = {"type": _DEAD_TYPE, "max_attempts": 2, "backoff": {"kind": "constant", "base_s": 0.5}}


def _job(state: JobState, **fields: Any) -> Job:
    return Job(id=_ID, type=REPORT_TYPE, state=state, created_at=_CREATED_AT, payload=_PAYLOAD, **fields)


SUBMISSIONS = {
    "report": Example("Write a report", _REPORT),
    "flaky": Example("Fail twice, then succeed, before other jobs of the type", _FLAKY),
    "delayed": Example("Run in five seconds", _DELAYED),
    "poison": Example("Fail always, and wait as a dead letter", _POISON),
}
BATCHES = {"two-jobs": Example("Two jobs", {"jobs": [_REPORT, _DELAYED]})}
_LINES = '{"type": "demo.delayed", "delay_s": 5}\n{"type": "demo.flaky", "priority": "high"}\n'
LINES = {"two-lines": Example("Two jobs, a line each", _LINES)}

QUEUED_JOB = {"queued": Example("It waits for a worker", _job(JobState.QUEUED, version=1))}
RUNNING_JOB = {
    "running": Example(
        "A worker runs it",
        _job(
            JobState.RUNNING,
            version=2,
            deliveries=1,
            started_at=_STARTED_AT,
            worker="host:17:9f3c",
            progress=Progress(40.0, "csv"),
            priority=Priority.HIGH,
            trace_id=_TRACE_ID,
        ),
    )
}
DEPENDENCIES = {
    "blocked": Example(
        "It waits for the second of two jobs",
        JobDependencies(
            _ID,
            [
                RelatedJob(_DEAD_ID, JobState.SUCCEEDED),
                RelatedJob(_OTHER_ID, JobState.RUNNING, blocks=True),
            ],
            [],
            0,
        ),
    )
}
EXPLANATION = {
    "blocked": Example(
        "It waits for a job about which a person has to decide",
        JobExplanation(
            id=_ID,
            state=JobState.BLOCKED,
            reasons=[
                Reason(
                    code=ReasonCode.PARENT_DEAD,
                    detail=f"it waits for {_DEAD_ID}, which is dead: retry that one, or discard it",
                    job=_DEAD_ID,
                )
            ],
        ),
    )
}
STEPS = {
    "waiting": Example(
        "It has charged, and waits for an approval",
        JobSteps(
            id=_ID,
            waiting_for="approved",
            steps=[
                JobStep(name="charge", kind="step", saved_at=_STARTED_AT, size_bytes=31),
                JobStep(name="approved", kind="wait", saved_at=_STARTED_AT, until=_STARTED_AT + timedelta(days=2)),
            ],
        ),
    )
}
SIGNALS = {"approval": Example("Ann has approved", {"by": "ann"})}
SIGNAL_RECEIPT = {"delivered": Example("The job goes on", SignalReceipt(id=_ID, name="approved", outcome="delivered"))}
JOB_STACK = {
    "stack": Example(
        "It waits for a connection",
        JobStack(
            _ID,
            1,
            "host:17:9f3c",
            '  File "/app/shop/reports.py", line 21, in generate\n    rows = await pool.fetch(QUERY)\n',
        ),
    )
}
DONE_JOB = {
    "succeeded": Example(
        "It has succeeded",
        _job(
            JobState.SUCCEEDED,
            version=3,
            attempts=1,
            deliveries=1,
            started_at=_STARTED_AT,
            finished_at=_FINISHED_AT,
            worker="host:17:9f3c",
            result=[{"path": "reports/sales.csv", "format": "csv", "rows": 1, "bytes": 17, "sha256": "9c1f"}],
        ),
    )
}
TIMELINE = {
    "succeeded": Example(
        "It has succeeded at once",
        Timeline(
            id=_ID,
            items=[
                TimelineItem(at=_CREATED_AT, kind="submitted", state=JobState.QUEUED, version=1),
                TimelineItem(at=_STARTED_AT, kind="started", state=JobState.RUNNING, version=2, worker="host:17:9f3c"),
                TimelineItem(
                    at=_FINISHED_AT, kind="succeeded", state=JobState.SUCCEEDED, version=3, worker="host:17:9f3c"
                ),
            ],
            attempts=[
                TimelineAttempt(
                    n=1,
                    started_at=_STARTED_AT,
                    waited_ms=1000,
                    ran_ms=1000,
                    outcome="succeeded",
                    worker="host:17:9f3c",
                    trace_id=_TRACE_ID,
                    logs=[LogLine(at=_STARTED_AT, level="info", message="report written", fields={"rows": "1"})],
                )
            ],
            complete=True,
        ),
    )
}
JOB_PAGE = {"page": Example("A page, and where the next begins", Page([QUEUED_JOB["queued"].value], "queued.k7RlbWFp"))}
RECEIPT = {
    "one-refused": Example(
        "One of two is refused",
        BatchReceipt(
            accepted=1,
            rejected=1,
            items=[
                BatchItem(index=0, status=202, id=_ID),
                BatchItem(
                    index=1,
                    status=422,
                    problem=INVALID_REQUEST.problem(
                        "/jobs/1/payload/rows: `rows` is missing",
                        errors=[FieldError("/jobs/1/payload/rows", "`rows` is missing")],
                    ),
                ),
            ],
        ),
    )
}
DEAD_PAGE = {
    "page": Example(
        "The only page",
        DeadLetterPage(
            [
                DeadLetter(
                    id=_DEAD_ID,
                    type=_DEAD_TYPE,
                    reason="attempts",
                    fingerprint="5f1c2d",
                    died_at=_STARTED_AT,
                    attempts=3,
                    error=_ERROR,
                )
            ]
        ),
    )
}
DEAD_GROUPS = {
    "groups": Example(
        "Two dead jobs of one kind",
        DeadGroups(
            items=[
                DeadGroup(
                    type=_DEAD_TYPE,
                    fingerprint="5f1c2d",
                    count=2,
                    first_seen=_CREATED_AT,
                    last_seen=_STARTED_AT,
                    sample=DeadSample(_DEAD_ID, _ERROR),
                    error_type=_ERROR.type,
                    message=_ERROR.message,
                    place=ErrorPlace("shop/mail.py", 88, "send_invoice"),
                    last_died_at=_STARTED_AT,
                    trend=[*[0] * 22, 1, 1],
                    live=3,
                    first_release="1.3.2",
                    last_release="1.4.0",
                )
            ],
            history_lag_s=0.2,
        ),
    )
}
SEARCH_HINTS = {
    "field": Example(
        "After `state:dead payload.u`",
        SearchHints([11, 20], [SearchHint("payload.user.id:", "number, in 98 % of recent jobs")]),
    )
}
FACETS = {
    "some": Example(
        "Some jobs of one type",
        Facets(
            items=[
                Facet(
                    field="state",
                    values=[
                        FacetValue(value="succeeded", count=4_980, relation="at_least", q="since:1d state:succeeded"),
                        FacetValue(value="dead", count=31, relation="exact", q="since:1d state:dead"),
                    ],
                ),
                Facet(
                    field="fingerprint",
                    values=[
                        FacetValue(
                            value="v2:5f1c2d3a4b5c6d7e",
                            label="TimeoutError",
                            place=ErrorPlace("shop/mail.py", 88, "send_invoice"),
                            count=20,
                            relation="at_least",
                            q="since:1d fingerprint:v2:5f1c2d3a4b5c6d7e",
                        )
                    ],
                ),
            ],
            count=JobCount(5_000, "at_least"),
            complete=False,
            history_lag_s=0.2,
        ),
    )
}
DEAD_ACTIONS = {
    "by-type": Example("The newest ten of a type", {"type": _DEAD_TYPE, "limit": 10}),
    "by-id": Example("These two", {"ids": [_DEAD_ID, _OTHER_ID]}),
}
ACTION_REPORT = {
    "one-done": Example(
        "One of two was there",
        ActionReport(
            done=1, refused=1, items=[ActionResult(_DEAD_ID, 202), ActionResult(_OTHER_ID, 404, "there is no such job")]
        ),
    )
}
_QUEUE = QueueStatus(
    type=REPORT_TYPE,
    partitions=1,
    queued={"high": 0, "normal": 12, "low": 3},
    running=4,
    scheduled=2,
    blocked=0,
    dead=1,
    oldest_ready_age_s=0.4,
    oldest_dead_age_s=3600.0,
)
_REGISTRATION = TypeRegistration(
    type=REPORT_TYPE,
    policy=TypePolicy(max_attempts=5, timeout_s=900.0),
    payload_schema={
        "type": "object",
        "properties": {"rows": {"type": "array", "items": {"type": "object"}}},
        "required": ["rows"],
    },
    description="Write supplied rows as CSV and XLSX files.",
    handler="millstream.handlers.report_generate:generate_report",
)
_WORKER = WorkerInfo(
    name="host:17:9f3c",
    types=[REPORT_TYPE],
    concurrency=100,
    running=[RunningJob(_ID, _STARTED_AT)],
    busy=1,
    started_at=_CREATED_AT,
    seen_at=_STARTED_AT,
    version="0.1.0",
    host="host",
    rss_bytes=84 << 20,
    loop_lag_ms=1.4,
)
QUEUE = {"queue": Example("Some jobs wait", _QUEUE)}
QUEUES = {"page": Example("The only page", Listing([_QUEUE]))}
DEMAND = {
    "demand": Example(
        "Twenty jobs want a slot, and the one worker has ten",
        Demand(queued=15, running=4, due_soon=1, oldest_ready_age_s=0.4, slots=10, wanted_workers=2),
    )
}
_OPERATION = BulkOperation(
    id="op_20261126150000000000a1b2c3d4",
    kind="redrive",
    state=OperationState.RUNNING,
    q="type:demo.poison since:1d",
    rate=50.0,
    canary=Canary(),
    created_at=_CREATED_AT,
    updated_at=_STARTED_AT,
    found=120,
    done=118,
    refused=2,
    failed=1,
)
NEW_OPERATIONS = {
    "search": Example(
        "Redrive what a search finds, after a trial with twenty",
        NewOperation(kind="redrive", q="type:demo.poison since:1d", canary=Canary()),
    ),
    "group": Example(
        "Count the jobs of a group",
        NewOperation(kind="discard", group=OperationGroup(_DEAD_TYPE, "5f1c2d"), dry_run=True),
    ),
    "export": Example(
        "Export the dead jobs of a week as CSV",
        NewOperation(kind="export", q="state:dead since:7d", export=ExportOptions(format="csv", name="dead")),
    ),
    "cancel": Example(
        "Cancel what waits of a type, and ask the workers of what runs",
        NewOperation(kind="cancel", q="type:report.generate state:queued,scheduled,running", rate=500.0),
    ),
    "erase": Example(
        "Count the jobs of a customer that would be erased",
        NewOperation(kind="erase", q="tag.customer:c1", dry_run=True),
    ),
    "patch": Example(
        "Show what a patch would change",
        NewOperation(
            kind="patch",
            group=OperationGroup(_DEAD_TYPE, "5f1c2d"),
            patch={"region": "eu", "retry": None},
            dry_run=True,
        ),
    ),
}
_DRY_PATCH = BulkOperation(
    id="op_20261126150100000000b2c3d4e5",
    kind="patch",
    state=OperationState.DONE,
    group=OperationGroup(_DEAD_TYPE, "5f1c2d"),
    rate=50.0,
    dry_run=True,
    created_at=_CREATED_AT,
    updated_at=_STARTED_AT,
    finished_at=_STARTED_AT,
    found=2,
    done=1,
    refused=1,
    patch={"region": "eu"},
    samples=[
        OperationSample(_DEAD_ID, [PayloadChange(pointer="/region", kind="changed", before="europe", after="eu")]),
    ],
    refusals=[OperationRefusal(_OTHER_ID, "it is not dead, or died after the operation was asked for")],
)
OPERATION = {
    "running": Example("It runs", _OPERATION),
    "patch": Example("A patch that was only tried", _DRY_PATCH),
}
OPERATIONS = {"page": Example("The only page", Listing([_OPERATION]))}
EVENTS = {
    "stream": Example(
        "A job is submitted, and then the client was too slow",
        "retry: 2000\nid: 1764172799000-0\n\nid: 1764172800000-0\nevent: job\n"
        f'data: {{"id":"{_ID}","type":"report.generate","kind":"submitted","state":"queued","version":1,'
        '"at":"2026-11-26T16:00:00Z","worker":null,"detail":null}\n\nevent: gap\ndata: {}\n\n',
    )
}
TYPE = {"type": Example("A built-in handler", _REGISTRATION)}
TYPES = {"page": Example("The only page", Listing([_REGISTRATION]))}
DRAINING_WORKER = {"draining": Example("It runs one job yet", replace(_WORKER, state="draining"))}
WORKERS = {"page": Example("The only page", Listing([_WORKER]))}

_WELL = [HealthCheck("redis", ok=True)]
_UNWELL = [HealthCheck("redis", ok=False, detail="does not answer")]
_LIVE = [HealthCheck("event loop", ok=True, detail="0.2 s ago, 10 s allowed")]
HEALTH = {
    True: {"well": Example("All is well", HealthOverview("ingest", True, 61.5, _LIVE, _WELL))},
    False: {"unwell": Example("Redis is away", HealthOverview("ingest", False, 61.5, _LIVE, _UNWELL))},
}
PROBE = {
    True: {"well": Example("All is well", Health(True, _WELL))},
    False: {"unwell": Example("Redis is away", Health(False, _UNWELL))},
}
STATS = {
    "two-minutes": Example(
        "Two minutes",
        Stats(
            begin=_CREATED_AT,
            end=_CREATED_AT + timedelta(minutes=2),
            step_s=60,
            releases=[StatRelease(at=_STARTED_AT, release="shop 2026.11.26-2")],
            points=[
                StatPoint(
                    at=_CREATED_AT,
                    submitted=120,
                    started=118,
                    succeeded=115,
                    retried=2,
                    wait_p50_ms=12.3,
                    wait_p95_ms=41.5,
                    run_p50_ms=234.8,
                    run_p95_ms=939.0,
                ),
                StatPoint(at=_CREATED_AT + timedelta(minutes=1)),
            ],
        ),
    )
}

SYSTEM = {
    "nearly-well": Example(
        "Redis lacks persistence",
        System(
            looked_at=_CREATED_AT,
            checks=[
                SystemCheck(
                    name="redis",
                    status="warn",
                    detail="appendonly is off: a restart of Redis loses jobs; set appendonly yes",
                    fix="CONFIG SET appendonly yes",
                ),
                SystemCheck(name="redis", status="ok", detail="maxmemory-policy is noeviction"),
            ],
            redis=RedisStatus(
                mode="single",
                is_suitable=True,
                servers=[
                    RedisServer(
                        address="127.0.0.1:6379",
                        role="primary",
                        server="redis",
                        version="8.2.1",
                        uptime_s=86_400,
                        used_bytes=96 << 20,
                        max_bytes=1 << 30,
                        maxmemory_policy="noeviction",
                        evicted_keys=0,
                        appendonly=False,
                        snapshot_ok=True,
                        online_replicas=0,
                    )
                ],
                round_trip_ms=0.2,
                clock_ahead_ms=0.0,
            ),
            history=HistoryStatus(
                revision="0003",
                release_revision="0003",
                lag_s=0.2,
                oldest_day=date(2026, 8, 28),
                newest_day=date(2026, 12, 10),
                size_bytes=3 << 30,
                kept_days=90,
            ),
            encryption=EncryptionStatus(
                encrypts="declared",
                keys=[
                    KeyEncryptionKey(id="2026-05", is_current=False, is_known=True, data_keys=3),
                    KeyEncryptionKey(id="2026-11", is_current=True, is_known=True, data_keys=12),
                ],
                tenants=1,
            ),
            processes=[
                ProcessStatus(
                    name="host:18:41ab",
                    service="dispatcher",
                    version="0.1.0",
                    settings={"MILLSTREAM_HISTORY_DAYS": "90"},
                    started_at=_CREATED_AT,
                    seen_at=_STARTED_AT,
                    duties=[DutyInfo(name="promoter", last_success_at=_STARTED_AT)],
                )
            ],
        ),
    )
}
STATS_BY_TYPE = {
    "one-type": Example(
        "One type, in three minutes",
        StatsByType(
            begin=_CREATED_AT,
            end=_CREATED_AT + timedelta(minutes=3),
            step_s=60,
            items=[
                TypeStats(
                    type=REPORT_TYPE,
                    submitted=120,
                    started=118,
                    succeeded=115,
                    retried=2,
                    dead=1,
                    wait_p50_ms=12.3,
                    wait_p95_ms=41.5,
                    run_p50_ms=234.8,
                    run_p95_ms=939.0,
                    submitted_by_step=[80, 40, 0],
                    ended_by_step=[70, 45, 1],
                    failed_by_step=[0, 2, 1],
                )
            ],
        ),
    )
}

_ENDPOINT = {
    "id": "whep_5f0c2a9e41d0b7c3a8e61f24",
    "url": "https://example.org/hook",
    "types": ["email.*"],
    "events": [JobEvent.DEAD],
    "payloads": False,
    "description": "Pages the person on call",
    "created_at": _CREATED_AT,
}
_SECRET = "whsec_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
WEBHOOK = {"endpoint": Example("An endpoint", msgspec.convert(_ENDPOINT, Webhook))}
WEBHOOKS = {"page": Example("One endpoint", Listing([msgspec.convert(_ENDPOINT, Webhook)]))}
SECRET_WEBHOOK = {"new": Example("A new endpoint", msgspec.convert({**_ENDPOINT, "secret": _SECRET}, SecretWebhook))}
WEBHOOK_SECRET = {
    "secret": Example("The secret of an endpoint", WebhookSecret(id=str(_ENDPOINT["id"]), secret=_SECRET))
}
NEW_WEBHOOKS = {
    "all": Example("The ends of all jobs", {"url": "https://example.org/hook"}),
    "dead": Example(
        "Dead letters of some types", {"url": "https://example.org/hook", "types": ["email.*"], "events": ["dead"]}
    ),
}
WEBHOOK_CHANGES = {"url": Example("Another URL", {"url": "https://example.org/other"})}
INCIDENTS = {
    "page": Example(
        "Old dead letters",
        Listing(
            [
                OpenIncident(
                    rule="dead-letters",
                    about=_DEAD_TYPE,
                    summary=f"1 dead letter of type {_DEAD_TYPE}",
                    opened_at=_CREATED_AT,
                    notices=1,
                )
            ]
        ),
    )
}
