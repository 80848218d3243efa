"""The reports of operations, timelines, types and jobs that wait for others, as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from millstream import BulkOperation, OperationSample
from millstream_cli.client.job_report import print_job
from millstream_cli.client.operation_report import print_operation, print_operations
from millstream_cli.client.timeline_report import print_logs, print_timeline
from millstream_cli.client.type_report import print_type
from millstream_contracts import (
    Backoff,
    Canary,
    Gathering,
    Job,
    JobError,
    JobId,
    JobState,
    JobType,
    LogLine,
    OperationGroup,
    OperationRefusal,
    PayloadChange,
    Timeline,
    TimelineAttempt,
    TimelineItem,
    TypePolicy,
    TypeRegistration,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def operation(**fields: object) -> BulkOperation:
    """Return an operation that redrives every dead job."""
    base = {"id": "op_1", "kind": "redrive", "state": "running", "rate": 50.0, "created_at": AT, "updated_at": AT}
    return BulkOperation(**{**base, **fields})  # type: ignore[arg-type]


def test_an_operation_is_told_with_what_it_refused_and_would_change(capsys: pytest.CaptureFixture[str]) -> None:
    """An operation has its counts, what is left, its canary, and each sample and refusal on a line of its own."""
    changes = [
        PayloadChange(pointer="/region", kind="changed", before="europe", after="eu"),
        PayloadChange(pointer="/copies", kind="added", after=2),
        PayloadChange(pointer="/old", kind="removed", before=None),
        PayloadChange(pointer="", kind="changed", before=1, after=[]),
    ]
    one = operation(
        detail="its canary failed", q="state:dead", found=1204, done=1000, refused=204, failed=3, canary=Canary(5),
        eta_s=90.0, samples=[OperationSample("a_1", changes)], refusals=[OperationRefusal("a_2", "it\x1b runs")],
    )  # fmt: skip
    print_operation(one, as_json=False)
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["id", "op_1"],
        ["state", "running: its canary failed"],
        ["jobs", "state:dead"],
        ["found", "1204, of which 1000 done and 204 refused"],
        ["canary", "5 jobs, 3 died again"],
        ["left", "about 1.5 min"],
        ["would", 'a_1: /region "europe" → "eu"; /copies added 2; /old removed null; payload 1 → []'],
        ["refused", "a_2: it\ufffd runs"],
    ]


ASKED = [
    ({}, "every dead job"),
    ({"kind": "erase"}, "a search that is erased too"),
    ({"kind": "export"}, "every job"),
    ({"kind": "export", "q": "type:a"}, "type:a"),
    ({"jobs": 7}, "7 ids"),
    ({"group": OperationGroup(type=JobType("a"), fingerprint="f00d")}, "a f00d"),
]


@pytest.mark.parametrize(("fields", "of"), ASKED, ids=[of for _, of in ASKED])
def test_an_operation_says_of_which_jobs(capsys: pytest.CaptureFixture[str], fields: dict, of: str) -> None:
    """A row ends with what was asked for in words, and a dry run is named as one."""
    print_operations([operation(dry_run=True, found=12, done=5, refused=7, **fields)], AT + timedelta(minutes=2))
    shown = " ".join(capsys.readouterr().out.split())
    kind = fields.get("kind", "redrive")
    assert f"op_1 2 min ago {kind}, dry run running 12 5 7 {of}" in shown


def test_a_timeline_is_told_with_its_attempts(capsys: pytest.CaptureFixture[str]) -> None:
    """Transitions have their moments to the millisecond; an attempt has its wait, its run, its worker and its error."""
    worker = "host:1:a"
    error = JobError("ValueError", "no room", traceback="Traceback\nValueError: no room", attempt=1)
    attempts = [
        TimelineAttempt(n=1, started_at=AT, waited_ms=1500, ran_ms=250, outcome="retrying", worker=worker, error=error),
        TimelineAttempt(n=2, started_at=AT, outcome="running", error=JobError("E", "told", traceback="Traceback")),
        TimelineAttempt(n=3, started_at=AT, waited_ms=0, ran_ms=0, outcome="dead", error=JobError("E", "")),
    ]
    items = [TimelineItem(at=AT, kind="claimed", state=JobState.RUNNING, version=2, worker=worker)]
    print_timeline(Timeline(id=JobId("a_1"), items=items, attempts=attempts, complete=False))
    table, *told, last = capsys.readouterr().out.strip().split("\n\n")
    assert "2 2026-01-02 03:04:05.678 claimed running host:1:a" in " ".join(table.split())
    assert [part.splitlines() for part in told] == [
        [
            "delivery 1: retrying after 250 ms on host:1:a, after a wait of 1.5 s",
            "  Traceback",
            "  ValueError: no room",
        ],
        ["delivery 2: running", "  E: told", "  Traceback"],
        ["delivery 3: dead after 0 ms, after a wait of 0 ms", "  E"],
    ]
    assert "some transitions are missing" in last


def test_log_lines_are_told_attempt_by_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    """A line has its time, level, message and fields; a traceback stands below it; control characters do nothing."""
    lines = [
        LogLine(at=AT, level="info", message="sent\x1b[31m", fields={"to": "ann"}),
        LogLine(at=AT, level="error", message="gave up", fields={"exception": "Traceback\nKeyError: 1"}),
    ]
    attempts = [
        TimelineAttempt(n=1, started_at=AT, outcome="retrying", logs=lines, logs_left_out=1_200),
        TimelineAttempt(n=2, started_at=AT, outcome="dead"),
    ]
    print_logs(Timeline(id=JobId("a_1"), items=[], attempts=attempts, complete=True))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert [line.rstrip() for line in shown.splitlines()] == [
        "delivery 1: retrying",
        "  1,200 earlier lines were not kept",
        "  2026-01-02 03:04:05.678 info     sent\ufffd[31m to=ann",
        "  2026-01-02 03:04:05.678 error    gave up",
        "      Traceback",
        "      KeyError: 1",
        "",
        "delivery 2: dead",
        "  no log lines are kept",
    ]


def test_a_complete_timeline_says_nothing_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Only of a timeline with gaps it is said that there are some."""
    print_timeline(Timeline(id=JobId("a_1"), items=[], attempts=[], complete=True))
    shown = capsys.readouterr().out
    assert "no transitions are known" in shown
    assert "missing" not in shown


def facts_of(shown: str) -> dict[str, str]:
    """Return lines of a report by their labels."""
    return dict(line.strip().split("  ", 1) for line in shown.splitlines() if "  " in line.strip())


def test_a_type_is_told_with_the_options_that_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    """A type shows its policy in words, delays in the place of a backoff, and nothing of what is as usual."""
    policy = TypePolicy(
        max_attempts=3, delays_s=(1.0, 90.0), on_dead="tidy", timeout_s=30.0, result_ttl_s=3600.0, partitions=4,
        keeps="no_payloads",
    )  # fmt: skip
    print_type(TypeRegistration(type=JobType("a.b"), handler="shop.send", policy=policy, code_version="v1"))
    assert facts_of(capsys.readouterr().out) == {
        "type": "a.b", "description": "none", "handler": "shop.send", "attempts": "3", "delays": "1 s, 1.5 min",
        "on dead": "tidy", "timeout": "30 s", "result kept": "1 h", "partitions": "4", "history keeps": "no payloads",
        "version": "v1",
    }  # fmt: skip
    backoff = Backoff(kind="exponential", base_s=2.0, cap_s=120.0, jitter=False)
    usual = TypePolicy(max_attempts=3, backoff=backoff, timeout_s=None)
    print_type(TypeRegistration(type=JobType("a.b"), handler="shop.send", policy=usual), [("queue", "7 ready")])
    shown = facts_of(capsys.readouterr().out)
    assert (shown["backoff"], shown["timeout"]) == ("exponential, from 2 s up to 2 min, without jitter", "none")
    assert shown["queue"] == "7 ready"
    assert not shown.keys() & {"delays", "on dead", "partitions", "history keeps", "version"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, {}),
        ({"encrypted": True, "compress": False}, {"stored": "encrypted", "compressed": "never"}),
        (
            {"logs": "all", "key": "customer.id"},
            {"log lines kept": "of all attempts", "key": "customer.id of the payload"},
        ),
        ({"logs": "none"}, {"log lines kept": "of none"}),
        (
            {"gathers": Gathering(size=1500, wait_s=0.25)},
            {"called for": "up to 1,500 jobs, gathered for up to 250 ms"},
        ),
    ],
    ids=["usual", "stored", "all", "none", "gathers"],
)
def test_a_type_tells_how_its_jobs_are_stored_and_called(
    capsys: pytest.CaptureFixture[str], fields: dict, told: dict[str, str]
) -> None:
    """What is stored and called in another way than for most types is told, and nothing else."""
    print_type(TypeRegistration(type=JobType("a.b"), handler="shop.send", policy=TypePolicy(max_attempts=3, **fields)))
    shown = facts_of(capsys.readouterr().out)
    labels = {"stored", "compressed", "log lines kept", "key", "called for"}
    assert {label: shown[label] for label in shown.keys() & labels} == told


@pytest.mark.parametrize(
    ("fields", "label", "told"),
    [
        ({"workflow": "WF_1"}, "workflow", "WF_1"),
        ({"batch": "BA_1"}, "batch", "BA_1"),
        ({"batch": "BA_1", "batch_event": "on_death"}, "batch", "BA_1 (on death)"),
    ],
    ids=["workflow", "member", "callback"],
)
def test_a_job_names_what_it_belongs_to(
    capsys: pytest.CaptureFixture[str], fields: dict[str, str], label: str, told: str
) -> None:
    """A job names its workflow, or its batch and the event for which it runs."""
    print_job(Job(id=JobId("a_1"), type=JobType("a"), state=JobState.QUEUED, created_at=AT, **fields), AT)
    assert facts_of(capsys.readouterr().out)[label] == told


@pytest.mark.parametrize(("state", "label"), [(JobState.BLOCKED, "waits for"), (JobState.CANCELLED, "came after")])
def test_a_job_that_waits_for_others_names_them(
    capsys: pytest.CaptureFixture[str], state: JobState, label: str
) -> None:
    """A job names the first five of the jobs that it waits for or came after, and why one of them has ended it."""
    parents = [JobId(f"p_{number}") for number in range(1207)]
    job = Job(
        id=JobId("a_1"), type=JobType("a"), state=state, created_at=AT, after=parents,
        reason="parent_dead" if state is JobState.CANCELLED else None,
        because_of=parents[1] if state is JobState.CANCELLED else None,
    )  # fmt: skip
    print_job(job, AT)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    at = lines.index(f"{label}  p_0")
    assert lines[at : at + 6] == [f"{label}  p_0", "p_1", "p_2", "p_3", "p_4", "and 1,202 more"]
    is_cancelled = state is JobState.CANCELLED
    assert ("because of  p_1" in lines) is is_cancelled
    assert ("state  cancelled (a job for which it waited is dead)" in lines) is is_cancelled
