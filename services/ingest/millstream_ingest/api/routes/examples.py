"""Values that the API document shows, made of the types that are really sent."""

from datetime import UTC, datetime

from millstream_contracts import (
    ActionReport,
    ActionResult,
    BatchItem,
    BatchReceipt,
    DeadLetter,
    DeadLetterPage,
    Demand,
    FieldError,
    Job,
    JobError,
    JobId,
    JobState,
    JobType,
    Page,
    Priority,
    Problem,
    Progress,
    QueueStatus,
    RunningJob,
    TypePolicy,
    TypeRegistration,
    WorkerInfo,
)

_ID = JobId("email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA")
_OTHER_ID = JobId("email.send_0001JD3YQ8Z8B1C9QW2N6KFH3RTE")
_TYPE = JobType("email.send")
_CREATED_AT = datetime(2026, 11, 23, 20, 45, 0, tzinfo=UTC)
_STARTED_AT = datetime(2026, 11, 23, 20, 45, 1, tzinfo=UTC)
_PAYLOAD = {"to": "ada@example.org", "subject": "Hello"}
_ERROR = JobError(type="smtplib.SMTPServerDisconnected", message="Connection unexpectedly closed", attempt=5)

SUBMISSION = {"type": _TYPE, "payload": _PAYLOAD, "priority": Priority.HIGH, "delay_s": 30}
BATCH = {"jobs": [SUBMISSION, {"type": _TYPE, "payload": {"to": "alan@example.org"}}]}

QUEUED_JOB = Job(id=_ID, type=_TYPE, state=JobState.QUEUED, version=1, created_at=_CREATED_AT, payload=_PAYLOAD)
RUNNING_JOB = Job(
    id=_ID,
    type=_TYPE,
    state=JobState.RUNNING,
    version=2,
    deliveries=1,
    created_at=_CREATED_AT,
    started_at=_STARTED_AT,
    worker="mail-1:17:9f3c",
    progress=Progress(40.0, "connected"),
    payload=_PAYLOAD,
)
DONE_JOB = Job(
    id=_ID,
    type=_TYPE,
    state=JobState.SUCCEEDED,
    version=3,
    attempts=1,
    deliveries=1,
    created_at=_CREATED_AT,
    started_at=_STARTED_AT,
    finished_at=datetime(2026, 11, 23, 20, 45, 2, tzinfo=UTC),
    worker="mail-1:17:9f3c",
    payload=_PAYLOAD,
    result="250 2.0.0 Ok",
)
JOB_PAGE = Page([QUEUED_JOB], "queued.k7RlbWFpbC5zZW5k")
RECEIPT = BatchReceipt(
    accepted=1,
    rejected=1,
    items=[
        BatchItem(index=0, status=202, id=_ID),
        BatchItem(
            index=1,
            status=422,
            problem=Problem(
                type="/problems/invalid-request",
                title="The request is well-formed but wrong",
                status=422,
                errors=[FieldError("/jobs/1/payload/subject", '"subject" is a required property')],
            ),
        ),
    ],
)
DEAD_PAGE = DeadLetterPage(
    [
        DeadLetter(
            id=_ID,
            type=_TYPE,
            reason="attempts",
            fingerprint="5f1c2d",
            died_at=_STARTED_AT,
            attempts=5,
            error=_ERROR,
        )
    ]
)
DEAD_ACTION = {"ids": [_ID, _OTHER_ID]}
ACTION_REPORT = ActionReport(
    done=1, refused=1, items=[ActionResult(_ID, 202), ActionResult(_OTHER_ID, 404, "there is no such job")]
)
QUEUE = QueueStatus(
    type=_TYPE,
    partitions=1,
    queued={"high": 0, "normal": 12, "low": 3},
    running=4,
    scheduled=2,
    blocked=0,
    dead=1,
    oldest_ready_age_s=0.4,
    oldest_dead_age_s=3600.0,
)
DEMAND = Demand(queued=15, running=4, due_soon=1, oldest_ready_age_s=0.4, slots=10, wanted_workers=2)
TYPE = TypeRegistration(
    type=_TYPE,
    policy=TypePolicy(max_attempts=5, timeout_s=30.0),
    payload_schema={"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]},
    description="Sends one message by SMTP.",
    handler="shop.mail:send",
)
WORKER = WorkerInfo(
    name="mail-1:17:9f3c",
    types=[_TYPE],
    concurrency=100,
    running=[RunningJob(_ID, _STARTED_AT)],
    busy=1,
    started_at=_CREATED_AT,
    seen_at=_STARTED_AT,
    version="0.1.0",
)
