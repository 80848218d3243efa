"""`.ci/run` has the exit status and the last line that CI reads."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUMMARY = "===== 3 passed in 0.01s ====="

MAKE = """\
#!/bin/sh
for goal; do :; done
[ "$goal" = test ] && echo '{summary}'
[ "$goal" = "$FAILING" ] && echo "make: *** [Makefile:1: $goal] Error 2" && exit 2
exit 0
"""
"""A make whose goal `FAILING` fails; its last argument is the goal."""


@pytest.fixture
def run_ci(tmp_path):
    """Return a function that runs a copy of `.ci/run` with a make of its own: goal that fails -> the process's end."""
    script = tmp_path / "clone" / ".ci" / "run"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", script)
    programs = tmp_path / "programs"
    programs.mkdir()
    # All that `.ci/run` would install otherwise is there.
    for name, text in {
        "make": MAKE.format(summary=SUMMARY),
        "redis-server": "#!/bin/sh\n",
        "postgres": "#!/bin/sh\n",
        "promtool": "#!/bin/sh\n",
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def run(failing: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "FAILING": failing}
        return subprocess.run([script], env=environment, capture_output=True, text=True, check=False)

    return run


def test_a_run_in_which_everything_passes_ends_with_0_and_the_summary_of_pytest(run_ci):
    """A run in which everything passes ends with 0 and with pytest's summary."""
    ended = run_ci("nothing")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == SUMMARY


@pytest.mark.parametrize("goal", ["setup", "lint", "types", "test"])
def test_a_run_in_which_a_goal_fails_does_not_end_with_0(run_ci, goal):
    """A run in which a goal fails does not end with 0, whatever comes after it."""
    assert run_ci(goal).returncode != 0


@pytest.mark.parametrize("goal", ["lint", "types", "test"])
def test_a_goal_that_fails_leaves_the_summary_of_pytest_as_the_last_line(run_ci, goal):
    """The last line of a run is pytest's summary, also when a goal fails."""
    assert run_ci(goal).stdout.splitlines()[-1] == SUMMARY
