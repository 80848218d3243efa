"""Each value that crosses a process boundary comes back as it was, and two releases can read each other's jobs."""

import inspect
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

import millstream_contracts as contracts
from millstream_contracts import (
    Backoff,
    BackoffOptions,
    Batch,
    BatchItem,
    BatchReceipt,
    Cancelled,
    Dead,
    DeadLetter,
    DeadLetterAction,
    DeadLetterPage,
    Demand,
    Event,
    EventKind,
    FieldError,
    Gathering,
    HandedBack,
    Job,
    JobCount,
    JobError,
    JobSpec,
    JobStack,
    JobState,
    JobTransition,
    Outcome,
    Page,
    Priority,
    Problem,
    Progress,
    Queue,
    QueueEvents,
    QueueStatus,
    RetryAt,
    RunningJob,
    SearchHint,
    SearchHints,
    ServiceInfo,
    Snoozed,
    Submission,
    Succeeded,
    Timeline,
    TimelineAttempt,
    TimelineItem,
    TypePolicy,
    TypeRegistration,
    WorkerInfo,
    moment,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, 123_000, UTC)
ID = "a_000000000000000000000000000A"
ERROR = JobError("ValueError", "no", "f", "Traceback…", 3, "00-1-2-01")
JOB = Job(
    id=ID,
    type="a",
    state=JobState.DEAD,
    priority=Priority.LOW,
    version=9,
    attempts=3,
    created_at=NOW,
    run_at=NOW,
    progress=Progress(12.5, "on it"),
    payload={"to": ["ann"], "n": 2**63 - 1},
    error=ERROR,
    reason="attempts",
    tags={"customer": "42"},
)
LETTER = DeadLetter(id=ID, type="a", reason="crashed", died_at=NOW, attempts=1, crashes=3, error=ERROR)
STORED = contracts.StoredStep("step", 1_700_000_000_000, "2", b"\xc0")
PROBLEM = Problem(type="about:blank", title="No", status=422, errors=[FieldError("/type", "no name")])

STEP = TimelineItem(at=NOW, kind="dead", state=JobState.DEAD, version=3, worker="w", detail="attempts")
ATTEMPT = TimelineAttempt(n=1, started_at=NOW, waited_ms=5, ran_ms=7, outcome="dead", worker="w", error=ERROR)
WEBHOOK: dict[str, Any] = {
    "id": "whep_1",
    "url": "https://a.example/",
    "types": ["*"],
    "events": [contracts.JobEvent.DEAD],
    "payloads": False,
    "description": "",
    "created_at": NOW,
}
REASON = contracts.Reason(code=contracts.ReasonCode.TIME, detail="b", job=ID, at=NOW)
AUDIT_ENTRY = contracts.AuditEntry(
    id="a",
    tenant="b",
    at=NOW,
    action="c",
    outcome=contracts.AuditOutcome.DONE,
    method="d",
    target="e",
    made="f",
    key_id="g",
    session="q",
    issuer="p",
    key_name="h",
    role="i",
    address="j",
    user_agent="k",
    request_id="l",
    trace_id="m",
    status=200,
    problem="n",
    detail="o",
    query={"a": "b"},
    asked={"a": 1},
    changes={"a": {"before": 1}},
)
AUDIT_LINK = contracts.AuditLink(seq=1, hash="a")
AUDIT_RECORD = contracts.chained(AUDIT_ENTRY, AUDIT_LINK)
TENANT_QUOTAS = contracts.TenantQuotas(jobs_waiting=1, jobs_running=6, payload_bytes=2, schedules=3, webhooks=4, keys=5)
TENANT = contracts.TenantInfo(
    name="a",
    title="b",
    state=contracts.TenantState.SUSPENDED,
    created_at=NOW,
    created_by="c",
    changed_at=NOW,
    reason="d",
    quotas=TENANT_QUOTAS,
    limits=contracts.RequestLimits(requests_per_s=1.0),
)
SESSION = contracts.Session(
    id="3nW8xQbT",
    key_id="7Kq2vXbA",
    name="a",
    role=contracts.Role.VIEWER,
    scopes=[contracts.Scope.JOBS_READ],
    created_at=NOW,
    expires_at=NOW,
    last_used_at=NOW,
    ended_at=NOW,
    subject="b",
    issuer="c",
    email="d",
)
API_KEY = contracts.ApiKey(
    id="a",
    name="b",
    role=contracts.Role.VIEWER,
    scopes=[contracts.Scope.JOBS_READ],
    created_at=NOW,
    created_by="c",
    expires_at=NOW,
    last_used_at=NOW,
    successor="d",
    revoked_at=NOW,
)
TEMPLATE = contracts.Template(name="a", type="b", payload={"c": 1}, tags={"d": "e"}, updated_at=NOW)
WORKFLOW = contracts.WorkflowStatus(
    id=contracts.WorkflowId("WF_0001J00000000000000000000000"),
    name="a",
    state=contracts.WorkflowState.STALLED,
    counts={contracts.NodeState.DEAD: 1},
    created_at=NOW,
    run=2,
)
GROUP = contracts.DeadGroup(
    type="a", fingerprint="f", count=2, first_seen=NOW, last_seen=NOW, sample=contracts.DeadSample(ID, ERROR)
)
FACET = contracts.FacetValue(
    value="f",
    label="ValueError",
    place=contracts.ErrorPlace("shop/mail.py", 8, "send"),
    count=2,
    relation="exact",
    q="",
)
OF_TYPE = contracts.TypeStats(
    type="a", dead=1, run_p95_ms=1.5, submitted_by_step=[1], ended_by_step=[1], failed_by_step=[1]
)
SCHEDULED_JOB = contracts.ScheduledJob(type="a", payload={"n": 1}, tags={"a": "b"})
LAST_OCCASION = contracts.LastOccasion(nominal=NOW, job=ID, state=JobState.RUNNING)
SCHEDULE = contracts.Schedule(
    name="n",
    state=contracts.ScheduleState.ACTIVE,
    cron="0 3 * * *",
    version=1,
    created_at=NOW,
    updated_at=NOW,
    job=SCHEDULED_JOB,
    next=[NOW],
    last=LAST_OCCASION,
    counts=contracts.ScheduleCounts(fired=1),
)
OCCASION = contracts.ScheduleOccasion(nominal=NOW, fires_at=NOW)
BACKFILL = contracts.Backfill(
    schedule="n", state=contracts.BackfillState.RUNNING, from_=NOW, to=NOW, parallel=1, occasions=1
)
SCHEDULES: tuple[Struct, ...] = (
    contracts.ScheduleRules(at=NOW),
    contracts.ScheduleCounts(fired=1),
    contracts.SchedulePage(items=[SCHEDULE]),
    contracts.ScheduleOccasions(items=[OCCASION]),
    contracts.SchedulePreview(schedule="n", state=contracts.ScheduleState.ACTIVE, next=[]),
    contracts.ScheduleRun(schedule="n", job=ID),
    contracts.BackfillRequest(from_=NOW, to=NOW),
    contracts.BackfillPage(items=[BACKFILL]),
    SCHEDULE,
    SCHEDULED_JOB,
    LAST_OCCASION,
    OCCASION,
    BACKFILL,
)
SERVER = contracts.RedisServer(address="a:1", role="primary", server="redis", version="8.2", used_bytes=7)
REDIS = contracts.RedisStatus(mode="single", is_suitable=True, servers=[SERVER], round_trip_ms=0.2)
CHECK = contracts.SystemCheck(name="redis", status="warn", detail="appendonly is off", fix="CONFIG SET appendonly yes")
DUTY = contracts.DutyInfo(name="sweep", last_success_at=NOW, failures=2, last_error="away", last_error_at=NOW)
PROCESS = contracts.ProcessStatus(
    name="h:1:a", service="reaper", version="1", settings={"A": "1"}, started_at=NOW, seen_at=NOW, duties=[DUTY]
)
HISTORY = contracts.HistoryStatus(
    revision="0003", release_revision="0003", lag_s=0.5, oldest_day=NOW.date(), newest_day=NOW.date(), size_bytes=9
)
KEK = contracts.KeyEncryptionKey(id="kek1", is_current=True, is_known=False, data_keys=7)
ENCRYPTION = contracts.EncryptionStatus(encrypts="all", keys=[KEK], tenants=2)
BATCH = contracts.BatchStatus(
    id="BA_00",
    name="import",
    state=contracts.BatchState.STALLED,
    total=2,
    counts={contracts.MemberState.SUCCEEDED: 1, contracts.MemberState.DEAD: 1},
    callbacks={contracts.BatchEvent.DEATH: contracts.BatchCallbackStatus(job=ID, fired=True)},
    created_at=NOW,
    reason="expired",
)
MEMBER = contracts.BatchMember(job=ID, state=contracts.MemberState.DEAD)
FIRED = contracts.FiredBatch(
    id=BATCH.id, name=BATCH.name, event=contracts.BatchEvent.COMPLETE, counts={contracts.MemberState.DEAD: 2}
)
VALUES: list[Struct] = [
    contracts.Breaker(ratio=0.3, probes=1),
    contracts.BreakerStatus(state=contracts.BreakerState.OPEN, failed=3, attempts=4),
    BATCH,
    BATCH.callbacks[contracts.BatchEvent.DEATH],
    contracts.BatchPage(items=[BATCH], next_cursor="a"),
    MEMBER,
    contracts.BatchMemberPage(items=[MEMBER]),
    FIRED,
    *SCHEDULES,
    SERVER,
    REDIS,
    CHECK,
    DUTY,
    HISTORY,
    PROCESS,
    KEK,
    ENCRYPTION,
    contracts.System(
        looked_at=NOW, checks=[CHECK], redis=REDIS, history=HISTORY, encryption=ENCRYPTION, processes=[PROCESS]
    ),
    FACET,
    FACET.place,
    contracts.Facet(field="fingerprint", values=[FACET]),
    contracts.Facets(items=[], count=JobCount(2, "exact"), complete=True, history_lag_s=0.5),
    OF_TYPE,
    contracts.StatsByType(begin=NOW, end=NOW, step_s=60, items=[OF_TYPE], complete=False),
    contracts.ActionReport(1, 1, [contracts.ActionResult(ID, 202), contracts.ActionResult(ID, 409, "not dead")]),
    contracts.ActionResult(ID, 404, "no such job"),
    Backoff("linear", 1.5, 60.0, jitter=False),
    BackoffOptions("constant"),
    BatchItem(index=1, status=201, id=ID, replayed=True),
    BatchItem(index=2, status=200, id=ID, unique_conflict=True),
    contracts.UniqueRule(fields=("invoice_id",), scope="window", window_s=60.0, on_conflict="reject"),
    contracts.UniqueOptions(key="7", scope="queued", on_conflict="replace"),
    contracts.JobUnique(key="7", scope="window", until=NOW),
    BatchReceipt(1, 1, [BatchItem(index=0, status=422, problem=PROBLEM)]),
    Cancelled("why"),
    Dead("attempts", ERROR),
    LETTER,
    contracts.DeadJob(id=ID, type="a", reason="crashed", died_at=NOW, error=ERROR, payload={"n": 1}, tags={"a": "b"}),
    DeadLetterAction(ids=[ID]),
    DeadLetterPage([LETTER], "next"),
    Event("1-0", EventKind.STARTED, 5, "w", [JobTransition(ID, 2, "running", 1, "x")]),
    FieldError("/a", "b"),
    HandedBack(),
    JOB,
    ERROR,
    JobTransition(ID, 2, "running", 1),
    contracts.BulkOperation(
        id="op_1", kind="redrive", state="running", rate=5.0, canary=contracts.Canary(), created_at=NOW, updated_at=NOW
    ),
    contracts.BulkOperation(
        id="op_2",
        kind="delete-tenant",
        state="done",
        rate=5.0,
        created_at=NOW,
        updated_at=NOW,
        tenant="acme",
        removed={"jobs": 2},
    ),
    contracts.Canary(3, 0.5),
    contracts.NewPriority(contracts.Priority.HIGH),
    contracts.OperationOptions(q="state:dead", rate=5.0),
    contracts.NewOperation(kind="discard", group=contracts.OperationGroup("a", "f"), dry_run=True),
    contracts.OperationGroup("a", "f"),
    contracts.PayloadChange(pointer="/a", kind="changed", before=1, after="x"),
    contracts.OperationSample("a.b_1", [contracts.PayloadChange(pointer="", kind="removed")]),
    contracts.OperationRefusal("a.b_1", "it is not dead"),
    contracts.ExportOptions(format="csv"),
    contracts.LiveEvent(id=ID, type="a", kind="started", state="running", version=2, at=NOW, worker="w"),
    Page([JOB], None),
    PROBLEM,
    Progress(1.0),
    Queue("default", "a", 3),
    QueueEvents(Queue("default", "a", 3), [Event("1-0", EventKind.STARTED, 5, "w", [])]),
    QueueStatus(type="a", partitions=1, queued={"high": 1}, running=2, scheduled=3, blocked=4, dead=5),
    RetryAt(5, ERROR),
    RunningJob(ID, NOW),
    JobStack(ID, 2, "w", "in wait"),
    contracts.Incident(rule="dead-letters", key="a", summary="1 dead letter", opened_ms=1, seen_ms=2, notices=1),
    contracts.OpenIncident(rule="dead-letters", about="a", summary="1 dead letter", opened_at=NOW, notices=1),
    contracts.Callback("https://a.example/", [contracts.JobEvent.DEAD]),
    contracts.NewWebhook(url="https://a.example/", types=["a.*"], payloads=True),
    contracts.WebhookChange(events=[contracts.JobEvent.DEAD]),
    contracts.Webhook(**WEBHOOK),
    contracts.SecretWebhook(**WEBHOOK, secret="whsec_a"),
    contracts.WebhookSecret(id="whep_1", secret="whsec_a"),
    JobCount(10_000, "at_least"),
    SearchHint("state:", "state of the job"),
    SearchHints([0, 5], [SearchHint("state:")]),
    GROUP,
    GROUP.sample,
    contracts.JobDependencies(ID, [contracts.RelatedJob(ID, blocks=True)], [], 0),
    contracts.RelatedJob(ID, contracts.JobState.DEAD),
    contracts.JobExplanation(id=ID, state=contracts.JobState.BLOCKED, reasons=[REASON]),
    REASON,
    contracts.NodeInput(node="a", result_bytes=7),
    contracts.NodeItems(total=2, counts={contracts.NodeState.DEAD: 1}),
    contracts.WorkflowNode(name="b", type="a", state=contracts.NodeState.STARTED, after=["c"], job=ID),
    WORKFLOW,
    TEMPLATE,
    contracts.QueueLimits(
        concurrency=1, rate="5/m", burst=2, per_key=contracts.KeyLimits(rate="1/s"), weights={"a": 2.0}, fair=True
    ),
    contracts.StartLimits(concurrency=1, rate="5/m", burst=2),
    contracts.KeyLimits(concurrency=1, rate="5/m", burst=2),
    contracts.QueueKey(key="a", parked=1, in_flight=2, weight=0.5, free_at=NOW),
    contracts.QueueKeyPage(items=[contracts.QueueKey(parked=1)], next_cursor="a"),
    contracts.QueueSettings(
        type="a",
        paused=True,
        paused_at=NOW,
        pause_reason="b",
        limits=contracts.QueueLimits(concurrency=1),
        limits_set_at=NOW,
    ),
    AUDIT_ENTRY,
    AUDIT_LINK,
    AUDIT_RECORD,
    contracts.AuditPage(items=[AUDIT_RECORD], next_cursor="a"),
    contracts.AuditChain(tenant="a", cut=AUDIT_LINK, last=AUDIT_LINK, head=AUDIT_LINK),
    contracts.AuditFault(seq=1, detail="a"),
    contracts.AuditVerification(records=1, last=AUDIT_LINK, faults=[contracts.AuditFault(seq=1, detail="a")]),
    API_KEY,
    contracts.SecretApiKey(**msgspec.structs.asdict(API_KEY), key="ms_a"),
    contracts.ApiKeyPage(items=[API_KEY], next_cursor="a"),
    contracts.NewApiKey(name="a", scopes=[contracts.Scope.JOBS_READ], expires_in_s=60.0),
    contracts.KeyRotation(overlap_s=1.0),
    TENANT_QUOTAS,
    contracts.NewTenant(name="a", title="b", quotas=TENANT_QUOTAS, limits=contracts.RequestLimits(burst=1)),
    contracts.TenantChange(title="a", quotas=TENANT_QUOTAS, limits=contracts.RequestLimits(burst=1)),
    contracts.TenantSuspension(reason="a"),
    TENANT,
    contracts.TenantPage(items=[TENANT], next_cursor="a"),
    contracts.RequestLimits(submissions_per_s=5.0, burst=9, requests_per_s=0.5),
    contracts.ApiKeyChange(limits=contracts.RequestLimits(requests_per_s=1.0)),
    contracts.NewSession(expires_in_s=60.0, nonce_secret="s" * 43),
    SESSION,
    contracts.SecretSession(**msgspec.structs.asdict(SESSION), token="ms_a"),
    contracts.SessionPage(items=[SESSION], next_cursor="c"),
    contracts.MintedKey("a", "b", b"c"),
    contracts.PrincipalInfo(tenant="a", scopes=[], role=contracts.Role.ADMIN, key_id="b", name="c", expires_at=NOW),
    contracts.TemplatePage(items=[TEMPLATE], next_cursor="a"),
    contracts.WorkflowPage(items=[WORKFLOW], next_cursor="a"),
    contracts.WorkflowNodePage(
        workflow=WORKFLOW,
        nodes=[contracts.WorkflowNode(name="b", type="a", state=contracts.NodeState.DEAD, reason="input_missing")],
    ),
    contracts.WorkflowAccepted(id=WORKFLOW.id, state=WORKFLOW.state, counts=WORKFLOW.counts, nodes={"b": ID}),
    contracts.RerunRequest(from_=["b"]),
    contracts.Happened(submitted=2, wait_p50_ms=1.5),
    contracts.StatPoint(at=NOW, submitted=2, wait_p50_ms=1.5),
    contracts.StatGap(begin=NOW, end=NOW),
    contracts.Stats(begin=NOW, end=NOW, step_s=60, points=[contracts.StatPoint(at=NOW)]),
    contracts.DeadGroups(items=[GROUP], complete=False, history_lag_s=0.5),
    STEP,
    ATTEMPT,
    Timeline(id=ID, items=[STEP], attempts=[ATTEMPT], complete=True),
    Snoozed(5),
    contracts.Waiting("approved", 5),
    contracts.Calling((ID,)),
    contracts.CallAnswer(contracts.StepCode.FOUND, [JOB], [ID]),
    STORED,
    contracts.StepAnswer(contracts.StepCode.SAVED, STORED),
    contracts.JobSteps(
        id=ID,
        waiting_for="approved",
        steps=[contracts.JobStep(name="charge", kind="step", saved_at=NOW, version="2", size_bytes=3)],
        kept_signals=["other"],
    ),
    contracts.JobStep(name="approved", kind="wait", saved_at=NOW, until=NOW),
    contracts.SignalReceipt(id=ID, name="approved", outcome="kept"),
    TypePolicy(max_attempts=3, timeout_s=1.5, partitions=4, delays_s=(1.0, 10.0), on_dead="b", keeps="failures"),
    TypePolicy(logs="all"),
    contracts.StatRelease(at=NOW, release="shop 2"),
    contracts.KeptLine(1, "info", "sent", {"to": "ann"}),
    contracts.KeptLines(3, [contracts.KeptLine(1, "info", "sent")]),
    contracts.LogLine(at=NOW, level="info", message="sent", fields={"to": "ann"}),
    TypePolicy(gathers=Gathering(size=500, wait_s=0.2)),
    Gathering(),
    TypeRegistration(type="a", policy=TypePolicy(), payload_schema={"type": "object"}),
    Demand(queued=7, running=2, due_soon=1, oldest_ready_age_s=1.5, slots=4, wanted_workers=3),
    ServiceInfo(
        name="h:1:a",
        service="reaper",
        version="1.2.3",
        settings={"MILLSTREAM_LEASE_S": 30.0, "MILLSTREAM_UNKNOWN_TYPES": "refuse"},
        started_at=NOW,
        sent_at=NOW,
        seen_at=NOW,
        duties=[DUTY],
    ),
    WorkerInfo(
        name="w",
        types=["a"],
        concurrency=4,
        running=[RunningJob(ID, NOW)],
        started_at=NOW,
        seen_at=NOW,
        rss_bytes=9,
        loop_lag_ms=0.5,
    ),
]
# These hold a value that stays undecoded, which is equal to nothing: they have tests of their own.
RAW = {
    Batch,
    JobSpec,
    Submission,
    Succeeded,
    contracts.ScheduleDefinition,
    contracts.TemplateDefinition,
    contracts.NodeSubmission,
    contracts.WorkflowSubmission,
    contracts.BatchSubmission,
}


def test_every_struct_is_tried() -> None:
    """Every Struct of the package has an example here."""
    exported = {one for _, one in inspect.getmembers(contracts, inspect.isclass) if issubclass(one, Struct)}
    assert exported == {type(value) for value in VALUES} | RAW


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack], ids=["json", "msgpack"])
def test_value_comes_back_as_it_was(value: Struct, codec: Any) -> None:
    """Each example comes back from JSON and from MessagePack as it was."""
    assert codec.decode(codec.encode(value), type=type(value)) == value


@pytest.mark.parametrize(
    "value", [one for one in VALUES if isinstance(one, Outcome)], ids=lambda one: type(one).__name__
)
def test_outcome_is_known_by_its_tag(value: Struct) -> None:
    """An outcome is decoded by its tag."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=Outcome) == value


@given(st.binary(max_size=50))
def test_raw_values_pass_through(payload: bytes) -> None:
    """Payloads and results are carried as undecoded bytes."""
    encoded = msgspec.msgpack.encode(payload)
    spec = JobSpec(payload=Raw(encoded), created_at_ms=1, tags={"k": "v"}, backoff=Backoff())
    back = msgspec.msgpack.decode(msgspec.msgpack.encode(spec), type=JobSpec)
    assert bytes(back.payload) == encoded
    assert (back.created_at_ms, back.tags, back.backoff) == (1, {"k": "v"}, Backoff())
    done = msgspec.msgpack.decode(msgspec.msgpack.encode(Succeeded(Raw(encoded))), type=Succeeded)
    assert bytes(done.result) == encoded


def test_a_result_of_nothing_is_nil() -> None:
    """The result of a handler that returns None is nil."""
    assert msgspec.msgpack.decode(bytes(Succeeded().result)) is None


@pytest.mark.parametrize("known", range(2, 9))
def test_spec_of_an_older_release_is_read(known: int) -> None:
    """A spec with fewer fields is read with defaults for the rest."""
    full = [{"a": 1}, 5, "tp", "ts", 3, 1.5, {"kind": "linear"}, {"k": "v"}]
    spec = msgspec.msgpack.decode(msgspec.msgpack.encode(full[:known]), type=JobSpec)
    assert spec.created_at_ms == 5
    assert spec.tags == ({"k": "v"} if known == 8 else None)
    assert spec.traceparent == ("tp" if known > 2 else "")


def test_spec_of_a_newer_release_is_read() -> None:
    """A spec with more fields or backoff options is read without them."""
    newer = [{"a": 1}, 5, "tp", "ts", 3, 1.5, {"kind": "linear", "factor": 2}, {"k": "v"}, "new", {"more": [1]}]
    spec = msgspec.msgpack.decode(msgspec.msgpack.encode(newer), type=JobSpec)
    assert (spec.max_attempts, spec.backoff, spec.tags) == (3, Backoff(kind="linear"), {"k": "v"})


@pytest.mark.parametrize("value", [one for one in VALUES if type(one) in {WorkerInfo, TypeRegistration, Job, JobError}])
def test_what_services_tell_each_other_may_hold_more(value: Struct) -> None:
    """Messages between services may have unknown fields, as during a rolling update."""
    newer = {**msgspec.to_builtins(value), "something_new": [1, 2]}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(newer), type=type(value)) == value


@pytest.mark.parametrize("kind", [Submission, DeadLetterAction, Batch, BackoffOptions])
def test_what_clients_send_is_strict(kind: type[Struct]) -> None:
    """A request with an unknown field is refused."""
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"type":"a","jobs":[1],"surprise":1}', type=kind)


@given(st.integers(min_value=0, max_value=32_503_680_000_000))
def test_moment_is_an_aware_time_in_utc(milliseconds: int) -> None:
    """Milliseconds become an aware time in UTC and come back, up to the year 3000."""
    at = moment(milliseconds)
    assert at.tzinfo is UTC
    assert round(at.timestamp() * 1000) == milliseconds


def test_states_know_whether_they_are_the_end() -> None:
    """A dead job is settled and not terminal."""
    assert {state for state in JobState if state.is_terminal} == {"succeeded", "cancelled", "expired"}
    assert {state for state in JobState if state.is_settled} == {"succeeded", "cancelled", "expired", "dead"}
