"""`new` writes a project that runs as it stands, and never touches what is there."""

import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import environment, program, refused, run

from millstream_cli.main import MODULES


def in_project(folder: Path, *command: str) -> None:
    """Run a command in the project, and check that it succeeds."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a project whose name has a dash, and return its folder."""
    folder = tmp_path_factory.mktemp("new") / "my-shop"
    result = run("new", str(folder))
    assert result.exit_code == 0, result.output
    return folder


def test_the_files_of_a_project(project: Path) -> None:
    """A project has an app, tests, and what builds and runs it."""
    written = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert written >= {
        "pyproject.toml",
        "compose.yaml",
        "README.md",
        ".gitignore",
        "my_shop/jobs.py",
        "tests/test_jobs.py",
    }
    assert all("{{" not in (project / path).read_text() for path in written)


def test_its_handlers_pass_check(project: Path) -> None:
    """`check` accepts the app."""
    in_project(project, *program("check", "my_shop.jobs:app"))


def test_its_tests_pass(project: Path) -> None:
    """A new project has tests that pass without options and without a server."""
    in_project(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")


def test_its_types_are_clean(project: Path) -> None:
    """A strict mypy accepts a new project."""
    assert "strict = true" in (project / "pyproject.toml").read_text()
    in_project(project, sys.executable, "-m", "mypy", "--cache-dir", "/dev/null")


def test_its_style_is_clean(project: Path) -> None:
    """The code of a new project is formatted, and has no unused import."""
    in_project(project, sys.executable, "-m", "ruff", "format", "--check", ".")
    in_project(project, sys.executable, "-m", "ruff", "check", "--select", "E,F,I,UP,B", ".")


def test_its_compose_file_runs_commands_that_there_are(project: Path) -> None:
    """Each service runs a command of this release."""
    lines = (project / "compose.yaml").read_text().splitlines()
    commands = [line.partition("[")[2].split(",")[0].strip("]") for line in lines if line.startswith("    command: [")]
    assert {*commands} == {"redis-server", "ingest", "dispatcher", "reaper", "worker"}
    assert {*commands} - {"redis-server"} <= MODULES.keys()


def test_what_to_do_next_is_said(tmp_path: Path) -> None:
    """`new` prints the commands that come next."""
    said = run("new", str(tmp_path / "bakery")).stdout.splitlines()
    assert said[0] == f"bakery: 9 files in {tmp_path / 'bakery'}"
    assert said[2:] == [
        f"  cd {tmp_path / 'bakery'}",
        "  millstream up bakery.jobs:app --reload",
        "  python -m bakery ann 19.90     # in another terminal",
    ]


def test_an_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`new .` makes a project of the folder in which it is called."""
    (tmp_path / "bakery").mkdir()
    monkeypatch.chdir(tmp_path / "bakery")
    result = run("new", ".")
    assert result.exit_code == 0, result.output
    assert "cd " not in result.stdout
    assert (tmp_path / "bakery/bakery/jobs.py").exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_is_left_alone(tmp_path: Path, kind: str) -> None:
    """A folder that is not empty, and a file, are refused and stay as they are."""
    place = tmp_path / "bakery"
    kept = place if kind == "file" else place / "kept"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    refused(run("new", str(place)), "not empty" if kind == "folder" else "a file", code=2)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        *((name, "is no name of a project") for name in ("Shop", "2shop", "my shop", "shop-", "a--b", "şop", "x" * 41)),
        ("class", "a word of Python"),
        *(
            (name, "the name of another package")
            for name in ("queue", "tests", "click", "millstream", "millstream-cli")
        ),
    ],
)
def test_a_name_under_which_it_could_not_run_is_refused(tmp_path: Path, name: str, says: str) -> None:
    """A project's package must be importable, and hide or be hidden by no other."""
    refused(run("new", str(tmp_path / name)), says, name.replace("-", "_") if "another" in says else name, code=2)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    """An error of the disk is one line."""
    (tmp_path / "file").touch()
    refused(run("new", str(tmp_path / "file" / "bakery")), "file", code=1)
