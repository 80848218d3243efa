"""Type checkers see the types of the SDK: what fits is accepted, and each planted mistake is refused."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLANTED, ACCEPTED = HERE / "planted.py", HERE / "accepted.py"
LEAST_MISTAKES = 45

Complaints = Counter[tuple[str, int]]
"""How many there are of each file and line."""


def mypy(folder: Path) -> Complaints:
    """Return what mypy complains of when it is strict."""
    # The cache is of this test: a run of `make types` may be under way.
    options = ["--strict", "--config-file", "", "--cache-dir", str(folder), "--output", "json"]
    lines = run("mypy", [*options, str(PLANTED), str(ACCEPTED)]).splitlines()
    found = (json.loads(line) for line in lines)
    return Counter((Path(one["file"]).name, one["line"]) for one in found if one["severity"] == "error")


def basedpyright(folder: Path) -> Complaints:
    """Return what basedpyright complains of when it is strict."""
    settings = folder / "pyrightconfig.json"
    settings.write_text(json.dumps({"include": [str(PLANTED), str(ACCEPTED)], "typeCheckingMode": "strict"}))
    options = ["--project", str(settings), "--pythonpath", sys.executable, "--outputjson"]
    found = json.loads(run("basedpyright", options))["generalDiagnostics"]
    return Counter(
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in found if one["severity"] == "error"
    )


def run(checker: str, options: list[str]) -> str:
    """Return what a type checker prints."""
    program = Path(sys.executable).with_name(checker)
    return subprocess.run([program, *options], cwd=HERE, capture_output=True, text=True, check=False).stdout


CHECKERS: dict[str, Callable[[Path], Complaints]] = {"mypy": mypy, "basedpyright": basedpyright}


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Complaints]:
    """Return what each type checker complains of in the two files."""
    return {name: check(tmp_path_factory.mktemp(name)) for name, check in CHECKERS.items()}


MISTAKES = [
    number for number, line in enumerate(PLANTED.read_text().splitlines(), start=1) if line.endswith("# refused")
]
"""The lines of the planted mistakes."""


@pytest.mark.parametrize("line", MISTAKES)
@pytest.mark.parametrize("checker", CHECKERS)
def test_each_planted_mistake_is_refused(complaints: dict[str, Complaints], checker: str, line: int) -> None:
    """A planted mistake is refused by each type checker, in its own line."""
    text = PLANTED.read_text().splitlines()[line - 1]
    assert complaints[checker][PLANTED.name, line], f"{checker} accepts line {line}: {text.strip()}"


@pytest.mark.parametrize("checker", CHECKERS)
def test_nothing_else_is_refused(complaints: dict[str, Complaints], checker: str) -> None:
    """A type checker refuses no line but those of the planted mistakes, and infers the types that are asserted."""
    planted = {(PLANTED.name, line) for line in MISTAKES}
    assert len(planted) >= LEAST_MISTAKES
    assert sorted(set(complaints[checker]) - planted) == []
