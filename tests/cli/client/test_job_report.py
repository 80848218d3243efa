"""The report of `job`: what a person wants to know of a job, as text."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millstream_cli.client.job_report import print_job
from millstream_contracts import Job, JobError, JobId, JobState, JobType, Progress

SUBMITTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = SUBMITTED + timedelta(minutes=3)
TRACEBACK = """Traceback (most recent call last):
  File "shop.py", line 13, in send
\traise ValueError("no invoice")
ValueError: no invoice
"""


@pytest.fixture
def report(capsys):
    """Return a function that prints a job with some fields, and returns the lines by their labels, and the texts."""

    def show(**fields: Any) -> tuple[dict[str, str], str]:
        base = {"id": JobId("a.b_1"), "type": JobType("a.b"), "state": JobState.QUEUED, "created_at": SUBMITTED}
        print_job(Job(**{**base, **fields}), NOW)
        facts, _, texts = capsys.readouterr().out.partition("\n\n")
        return dict(line.split(maxsplit=1) for line in facts.splitlines()), texts

    return show


def test_report_leaves_out_what_says_nothing(report):
    """A job has many fields, of which few say anything."""
    facts, texts = report()
    assert facts == {
        "id": "a.b_1",
        "type": "a.b",
        "state": "queued",
        "attempts": "0",
        "submitted": "2026-01-02 03:04:05 UTC, 3 min ago",
        "priority": "normal",
    }
    assert texts == ""


def test_report_shows_who_has_submitted_the_job(report):
    """A job of which that is known says who has submitted it."""
    assert report(submitted_by="7Kq2vXbA")[0]["submitter"] == "7Kq2vXbA"


def test_report_shows_the_key(report):
    """The key says which limits of its type count the job."""
    assert report(key="acme")[0]["key"] == "acme"


def test_report_prints_the_traceback_as_text(report):
    """Line by line, as Python prints it, and the message that ends it only once."""
    error = JobError(type="ValueError", message="no invoice", traceback=TRACEBACK, attempt=2)
    _, texts = report(state=JobState.DEAD, error=error)
    assert texts.splitlines() == [
        "last error, at attempt 2",
        "  Traceback (most recent call last):",
        '    File "shop.py", line 13, in send',
        '      raise ValueError("no invoice")',
        "  ValueError: no invoice",
    ]


def test_report_names_an_error_without_a_traceback(report):
    """A timeout has none."""
    _, texts = report(error=JobError(type="timeout", message="after 30 s"))
    assert texts == "last error\n  timeout: after 30 s\n"


def test_report_puts_the_message_before_a_traceback_that_lacks_it(report):
    """A traceback is cut to its end, and an exception may print itself in its own way."""
    _, texts = report(error=JobError(type="ValueError", message="x", traceback="cut\n", attempt=1))
    assert texts == "last error, at attempt 1\n  ValueError: x\n  cut\n"


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\x07", "\u202e", "\r"])
def test_text_of_users_does_not_reach_the_terminal_as_an_order(report, character):
    """Escape sequences of an error, a tag, a note or a payload are shown and not obeyed."""
    text = f"a{character}[31mb"
    error = JobError(type="E", message=text, traceback=text)
    facts, texts = report(error=error, tags={"k": text}, progress=Progress(5, text), payload=text, reason=text)
    assert character not in "".join(facts.values()) + texts


def test_report_tells_times_by_what_they_mean(report):
    """When it started, ended, how long that took, and when a waiting one is due."""
    started = SUBMITTED + timedelta(seconds=1)
    facts, _ = report(state=JobState.SUCCEEDED, started_at=started, finished_at=started + timedelta(milliseconds=34))
    assert (facts["started"], facts["ended"]) == tuple(["2026-01-02 03:04:06 UTC, 3 min ago"] * 2)
    assert facts["took"] == "34 ms"
    facts, _ = report(state=JobState.SCHEDULED, run_at=NOW + timedelta(hours=2))
    assert facts["due"] == "2026-01-02 05:07:05 UTC, in 2 h"


def test_report_tells_why_a_job_is_dead_and_what_it_cost(report):
    """In words, with the attempts, the crashes and the hand-backs."""
    facts, _ = report(
        state=JobState.DEAD,
        reason="attempts",
        attempts=3,
        max_attempts=3,
        crashes=1,
        handbacks=2,
        cancel_requested=True,
    )
    assert facts["state"] == "dead (its attempts are used up), its cancellation is asked for"
    assert (facts["attempts"], facts["crashes"], facts["hand-backs"]) == ("3 of 3", "1", "2")
    assert report(state=JobState.DEAD, reason="no such customer")[0]["state"] == "dead (no such customer)"


def test_report_says_once_that_a_job_is_cancelled(report):
    """Neither its reason nor its request repeats the state; the reason of a handler stays."""
    assert report(state=JobState.CANCELLED, reason="cancelled", cancel_requested=True)[0]["state"] == "cancelled"
    found, _ = report(state=JobState.CANCELLED, reason="discarded: sold out", cancel_requested=True)
    assert found["state"] == "cancelled (discarded: sold out)"


def test_report_prints_values_as_json(report):
    """A short one on one line, a long one on several; a zero is a result."""
    _, texts = report(payload={"rows": list(range(50))}, result=0)
    payload, _, result = texts.partition("\n\n")
    assert payload.splitlines()[:3] == ["payload", "  {", '    "rows": [']
    assert result == "result\n  0\n"


def test_report_has_the_rest_by_name(report):
    """Worker, progress, tags, timeout and trace."""
    facts, _ = report(
        worker="w1", progress=Progress(12.5, "rendered"), tags={"a": "b=c"}, timeout_s=90.0, trace_id="4bf9"
    )
    shown = {name: facts[name] for name in ("worker", "progress", "tag", "timeout", "trace")}
    assert shown == {
        "worker": "w1",
        "progress": "12.5 % rendered",
        "tag": "a=b=c",
        "timeout": "1.5 min",
        "trace": "4bf9",
    }
