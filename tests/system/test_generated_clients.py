"""The programs of examples/clients work, two of them with clients that are generated from the document of the system.

What generators need is pinned in the examples. A test is skipped where its language is not installed, or where the
registry of its packages cannot be reached.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from system.running import System, environment, running_system

EXAMPLES = Path(__file__).parents[2] / "examples" / "clients"
TOLD = re.compile(
    r"report\.generate succeeded at 20\S+Z\n"
    r"demo\.poison dead: this job cannot succeed\n"
    r"read dead, listed true\n"
    r"redriven 1\n"
)
"""What each of the programs prints."""

FETCHED_WITHIN_S = 120
DONE_WITHIN_S = 240

pytestmark = pytest.mark.xdist_group("generated clients")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Yield a system with the handlers that `make up` has."""
    with running_system(tmp_path_factory.mktemp("running"), apps=()) as system:
        yield system


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where a program is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"no {program} on PATH")


class Folder:
    """A copy of an example, in which commands are run."""

    def __init__(self, language: str, place: Path, system: System) -> None:
        self.path = place / language
        shutil.copytree(EXAMPLES / language, self.path, ignore=shutil.ignore_patterns("node_modules", "build", "api*"))
        self._environment = environment(MILLSTREAM_URL=system.url, CI="1")

    def fetch(self, *command: str) -> None:
        """Run a command that asks a registry; skip the test when it does not answer."""
        try:
            # A registry may be behind a proxy, and the system is not.
            self._run(command, dict(os.environ), FETCHED_WITHIN_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"`{' '.join(command)}` got nothing from its registry: {str(error.stderr)[-300:]}")

    def run(self, *command: str) -> str:
        """Return what a command prints; it has to end well."""
        try:
            return self._run(command, self._environment, DONE_WITHIN_S)
        except subprocess.CalledProcessError as error:
            pytest.fail(f"{command}:\n{error.stdout}\n{error.stderr}")

    def _run(self, command: tuple[str, ...], environ: dict[str, str], within_s: float) -> str:
        done = subprocess.run(
            command,
            cwd=self.path,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=within_s,
        )
        return done.stdout


@needs("npm")
def test_client_in_typescript_is_generated_compiled_and_run(running: System, tmp_path: Path) -> None:
    """The document becomes types that compile under `strict`, and a program with them does all that a client does."""
    folder = Folder("typescript", tmp_path, running)
    folder.fetch("npm", "install", "--no-package-lock", "--no-audit", "--no-fund")
    folder.run("npm", "run", "generate")
    folder.run("npm", "run", "build")
    assert TOLD.fullmatch(folder.run("npm", "run", "--silent", "start"))


@needs("go")
def test_client_in_go_is_generated_compiled_and_run(running: System, tmp_path: Path) -> None:
    """The document becomes a package that passes `go vet`, and a program with it does all that a client does."""
    folder = Folder("go", tmp_path, running)
    folder.fetch("go", "mod", "download")
    generator = re.search(r"go run (\S+@\S+)", (folder.path / "main.go").read_text())
    assert generator
    folder.fetch("go", "install", "-n", generator[1])  # downloads, and builds nothing
    (folder.path / "openapi.json").write_bytes(httpx2.get(f"{running.url}/openapi.json", trust_env=False).content)
    (folder.path / "api").mkdir()
    folder.run("go", "generate", "./...")
    folder.run("go", "vet", "./...")
    assert TOLD.fullmatch(folder.run("go", "run", "."))


@needs("curl")
def test_curl_does_without_a_client(running: System, tmp_path: Path) -> None:
    """The program with curl does all that a client does, with no client at all."""
    assert TOLD.fullmatch(Folder("curl", tmp_path, running).run("bash", "main.sh"))


def test_client_in_python_comes_along(running: System, tmp_path: Path) -> None:
    """The program in Python does all that a client does, with the client of the SDK."""
    assert TOLD.fullmatch(Folder("python", tmp_path, running).run(sys.executable, "main.py"))
