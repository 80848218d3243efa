"""The demo reports every job that is not as it should be."""

import hashlib
import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from cli.commands import refused, run
from rich.console import Console

from millstream_cli.demo.command import _check_mails
from millstream_cli.demo.jobs import FLAKY_ATTEMPTS, POISON_ATTEMPTS
from millstream_cli.demo.work import DELAY_S, DELAYED, FLAKY, MAILS, POISON, REPORTS, plan_work
from millstream_contracts import Job, JobId, JobState, JobType

T0 = datetime(2026, 1, 2, tzinfo=UTC)
TYPES = ("email.send", "report.generate", "demo.flaky", "demo.poison", "demo.delayed")


def judge(job_type: str, **fields: object) -> str | None:
    """Return the verdict of the demo about a job."""
    [task] = [task for task in plan_work() if task.jobs[0].type == job_type]
    known = {"state": JobState.SUCCEEDED, "created_at": T0, "attempts": 1} | fields
    return task.verdict(Job(id=JobId(f"{job_type}_1"), type=JobType(job_type), **known))


def test_plan_has_the_work_that_readme_promises():
    """The plan has as many jobs of each type as the README says."""
    counts = Counter(job.type for task in plan_work() for job in task.jobs)
    assert counts == dict(zip(TYPES, (MAILS, REPORTS, FLAKY, POISON, DELAYED), strict=True))
    assert counts.total() == 675


@pytest.mark.parametrize("job_type", TYPES)
@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.QUEUED, JobState.SCHEDULED, JobState.CANCELLED])
def test_job_in_another_state_is_complained_of(job_type, state):
    """A job of any type in a state other than succeeded is reported."""
    attempts = {"demo.flaky": FLAKY_ATTEMPTS, "demo.poison": POISON_ATTEMPTS}.get(job_type, 1)
    assert str(state) in judge(job_type, state=state, attempts=attempts)


@pytest.mark.parametrize("job_type", ["email.send", "report.generate", "demo.flaky", "demo.delayed"])
def test_dead_job_is_complained_of(job_type):
    """A dead job is reported, except for the poison."""
    assert judge(job_type, state=JobState.DEAD, attempts=FLAKY_ATTEMPTS) == "is dead, not succeeded"


def test_mail_that_was_sent_is_well():
    """A mail that was sent is fine, also after a crash of its worker."""
    assert judge("email.send", crashes=1) is None


@pytest.mark.parametrize("attempts", [FLAKY_ATTEMPTS - 1, FLAKY_ATTEMPTS + 1])
def test_flaky_job_takes_just_so_many_attempts(attempts):
    """A flaky job with one attempt less or more is reported."""
    assert judge("demo.flaky", attempts=FLAKY_ATTEMPTS) is None
    assert f"took {attempts} attempts" in judge("demo.flaky", attempts=attempts)


@pytest.mark.parametrize("attempts", [POISON_ATTEMPTS - 1, POISON_ATTEMPTS + 1])
def test_poison_dies_of_just_so_many_attempts(attempts):
    """A poison job is dead after its number of attempts, and reported otherwise."""
    assert judge("demo.poison", state=JobState.DEAD, attempts=POISON_ATTEMPTS) is None
    assert f"after {attempts} attempts" in judge("demo.poison", state=JobState.DEAD, attempts=attempts)
    assert "is succeeded" in judge("demo.poison", attempts=POISON_ATTEMPTS)


def test_delayed_job_that_starts_too_early_is_complained_of():
    """A delayed job that starts a millisecond early is reported."""
    due = T0 + timedelta(seconds=DELAY_S)
    assert judge("demo.delayed", started_at=due) is None
    assert "too early" in judge("demo.delayed", started_at=due - timedelta(milliseconds=1))


@pytest.fixture
def reports(tmp_path) -> list[dict]:
    """Return the result of a report job about its files."""
    found = []
    for kind in ("csv", "xlsx"):
        file = tmp_path / f"orders.{kind}"
        file.write_bytes(kind.encode())
        found.append({"path": str(file), "format": kind, "sha256": hashlib.sha256(kind.encode()).hexdigest()})
    return found


def test_report_is_as_its_job_says(reports):
    """A report with both files and their digests is fine."""
    assert judge("report.generate", result=reports) is None


def test_report_that_was_changed_or_lost_is_complained_of(reports):
    """A report whose file was changed or lost is reported."""
    Path(reports[1]["path"]).write_bytes(b"another")
    assert "no xlsx file, or another" in judge("report.generate", result=reports)
    Path(reports[1]["path"]).unlink()
    assert "no xlsx file, or another" in judge("report.generate", result=reports)


def test_report_with_too_few_files_is_complained_of(reports):
    """A report with fewer than two files is reported."""
    for result in (None, [], reports[:1]):
        assert judge("report.generate", result=result)


def test_mails_are_counted_by_their_message_ids(tmp_path):
    """Mails are counted by Message-ID: a second copy is no fault, and a missing mail is."""
    said = io.StringIO()
    for number in range(MAILS):
        mail = EmailMessage()
        mail["Message-ID"] = f"<{number}@example.org>"
        (tmp_path / f"{number}.eml").write_bytes(bytes(mail))
    (tmp_path / "again.eml").write_bytes((tmp_path / "0.eml").read_bytes())
    assert _check_mails(tmp_path, Console(file=said)) == []
    assert "1 mails came twice" in said.getvalue()
    (tmp_path / "1.eml").unlink()
    assert _check_mails(tmp_path, Console(file=said)) == [f"{MAILS - 1} different mails arrived, not {MAILS}"]


def test_demo_deletes_nothing_but_what_a_demo_left(tmp_path):
    """The demo deletes nothing in its data folder except what a demo left."""
    (tmp_path / "thesis.txt").touch()
    refused(run("demo", "--data", str(tmp_path)), "is not empty and no earlier demo's", code=1)
    assert (tmp_path / "thesis.txt").exists()


def test_demo_says_in_one_line_that_its_folder_is_none(tmp_path):
    """A data folder that is a file is refused in one line."""
    file = tmp_path / "file"
    file.touch()
    refused(run("demo", "--data", str(file)), code=1)
