"""`millstream demo`, as a new user runs it."""

import re
import shutil

from cli.commands import run_program
from system.readme import is_shown, printed_below
from system.running import README

from millstream_cli.demo.command import HISTORY
from millstream_cli.demo.work import DELAYED, FLAKY, MAILS, POISON, REPORTS
from millstream_cli.postgres.data_folder import substitute_of

DONE = {  # jobs, succeeded, retried, dead
    "email.send": [MAILS, MAILS, 0, 0],
    "report.generate": [REPORTS, REPORTS, 0, 0],
    "demo.flaky": [FLAKY, FLAKY, FLAKY, 0],
    "demo.poison": [POISON, 0, POISON, POISON],
    "demo.delayed": [DELAYED, DELAYED, 0, 0],
}


def test_demo_does_all_its_work_in_a_fresh_folder_and_says_so(tmp_path):
    """The demo kills a worker, prints a row per job type, leaves mails and reports, and exits with 0."""
    done = run_program("demo", cwd=tmp_path, MILLSTREAM_TYPES="nothing.of.this")
    said = done.stdout
    assert done.returncode == 0, said
    assert done.stderr == "" or done.stderr.startswith("millstream: no PostgreSQL found: "), done.stderr
    rows = [line.split() for line in said.splitlines()]
    counts = {row[0]: [int(cell) for cell in row[1:5]] for row in rows if row and row[0] in DONE}
    assert counts == DONE
    assert "worker-1 is killed with SIGKILL" in said
    assert is_shown(said, printed_below(README, "make demo")), said
    places = tmp_path / ".millstream" / "demo"
    assert len(list((places / "mails").glob("*.eml"))) >= MAILS
    assert len(list((places / "reports").rglob("*.xlsx"))) >= REPORTS
    shutil.rmtree(substitute_of((places / HISTORY).resolve()), ignore_errors=True)
    assert re.search(r"worker-1 ended with signal SIGKILL", (places / "services.log").read_text())
