"""The commands and programs of README.md work as they stand there, and print what it says."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from cli.commands import NO_API
from system.readme import is_shown, printed_below, programs, steps
from system.running import README, environment, millstream

from millstream import App
from millstream_cli.apps import load_apps
from millstream_cli.rendering.banner import example
from millstream_workers.settings import BUILTIN, WorkerSettings

STEPS = steps(README)
PROGRAMS = programs(README)
PLACE = "http://127.0.0.1:8080"
CONSOLE = "http://127.0.0.1:8090"
"""The address that README writes."""

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")


@pytest.fixture
def folder(tmp_path):
    """Return a folder in which the commands work as in a checkout."""
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    for name, program in PROGRAMS.items():
        (tmp_path / name).write_text(program)
    return tmp_path


@pytest.fixture
def run(system, folder):
    """Return a function that runs a command of README in a shell, and returns its output."""
    # Where the reader has `make up` in another terminal, this has the system of the tests.
    (folder / ".curlrc").write_text(f'silent\nconnect-to = "localhost:8080:127.0.0.1:{system.port}"\n')

    async def run_in_shell(command: str) -> str:
        process = await asyncio.create_subprocess_shell(
            command,
            cwd=folder,
            env=environment(CURL_HOME=str(folder), MILLSTREAM_URL=system.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode().replace("\r\n", "\n")

    return run_in_shell


def shown(printed: str, said: str) -> str:
    """Return what was printed, after a check that README says the same."""
    assert is_shown(printed, said), f"README says:\n{said}\nand this was printed:\n{printed}"
    return printed


@needs_curl
async def test_submit_and_read(run, client):
    """The submission answers 202 with the job and its address, and the address shows its result."""
    submit, read = STEPS["Submit a job"], STEPS["Read it"]
    head, body = shown(await run(submit.commands[0]), submit.prints).split("\n\n")
    job_id = json.loads(body)["id"]
    assert f"\nlocation: /v1/jobs/{job_id}\n" in f"{head}\n"
    await client.result(job_id, 60)
    [command] = read.commands
    assert command.endswith("/report.generate_00...")
    shown(await run(command.replace("report.generate_00...", job_id)), read.prints)


@needs_curl
async def test_wait(run):
    """The wait answers with the ended job, which failed twice on the way."""
    step = STEPS["Wait for the end"]
    shown(await run(step.commands[0]), step.prints)


@needs_curl
async def test_idempotency(run):
    """The command with a key, run twice, makes one job."""
    step = STEPS["Submit safely twice"]
    first, second = [json.loads(shown(await run(step.commands[0]), step.prints)) for _ in range(2)]
    assert first["id"] == second["id"]


@needs_curl
async def test_messagepack(run, client):
    """The request in MessagePack is answered in JSON, and its report is made."""
    step = STEPS["MessagePack"]
    job = json.loads(shown(await run(step.commands[0]), step.prints))
    [file] = await client.result(job["id"], 60)
    assert (await anyio.Path(file["path"]).read_text()).split() == ["n", "1"]


@needs_curl
async def test_dead_letters(run, client):
    """The commands make, list and redrive a dead letter."""
    (make, show, redrive), prints = STEPS["Dead letters"]
    made, listed = await run(make), await run(show)
    job_id = json.loads(made)["id"]
    redriven = await run(redrive.replace("demo.poison_00...", job_id))
    shown(f"{made}\n{listed}\n{redriven}", prints)
    assert json.loads(redriven)["items"][0]["id"] == job_id
    assert (await client.wait(job_id, 60)).state == "dead"


async def test_command_line(run, client):
    """The commands of the program print a job and a list for people."""
    dead = await client.submit("demo.poison")
    await client.wait(dead.id, 60)
    submit, listing = STEPS["The command line"].commands
    shown(f"{await run(submit)}\n{await run(listing)}", STEPS["The command line"].prints)


async def test_every_command_of_readme_is_tried_here():
    """Every command of README has a test here, and says what it prints."""
    assert [label for label, step in STEPS.items() if not step.prints] == []
    assert list(STEPS) == [
        "Submit a job",
        "Read it",
        "Wait for the end",
        "Submit safely twice",
        "MessagePack",
        "Dead letters",
        "The command line",
        "Check it",
        "Run it",
        "Send an invoice",
    ]


async def test_handler_of_readme_passes_check(run):
    """The handler of README passes `check` in a file of its name."""
    step = STEPS["Check it"]
    shown(await run(step.commands[0]), step.prints)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "shop.py"])
async def test_client_of_readme_prints_what_the_handler_of_readme_returns(run, system, folder, name):
    """A client program of README, saved as a file, prints the result of its handler."""
    assert PLACE in PROGRAMS[name]
    (folder / name).write_text(PROGRAMS[name].replace(PLACE, system.url))
    command, prints = STEPS["Send an invoice"].commands[0], STEPS["Send an invoice"].prints
    assert command.endswith("/python send.py")
    number = "42" if name == "send.py" else "43"
    shown(await run(command.replace("send.py", name)), prints.replace("42", number))


async def test_system_says_where_it_is_as_readme_says(system):
    """The banner of `make up` has the lines of README, in their order."""
    places, *_ = printed_below(README, "make up").partition("Stop it")
    said = places.replace(PLACE, system.url).replace(CONSOLE, system.console_url)
    assert is_shown(f"{system.banner.strip().partition('Stop it')[0]}", said), system.banner


@pytest.mark.parametrize(
    ("command", "apps"),
    [("make up", (BUILTIN, "millstream_cli.demo.jobs:app")), (STEPS["Run it"].commands[0], ("shop:app",))],
)
def test_system_tells_to_try_what_readme_says(folder, monkeypatch, command, apps):
    """The command to try is one of the apps that run, as README prints it."""
    monkeypatch.syspath_prepend(folder)
    # Set first, so that the module of this folder is gone afterwards.
    monkeypatch.setitem(sys.modules, "shop", None)
    del sys.modules["shop"]
    monkeypatch.delenv("MILLSTREAM_URL", raising=False)
    app: App = load_apps(apps, WorkerSettings())
    last = printed_below(README, command).splitlines()[-1]
    assert last == f"Try: .venv/bin/{example(app, PLACE, has_workers=True)}"


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on PATH")
def test_port_is_chosen_as_readme_says():
    """`make up` passes the port on to the program, and `--url` is the option of its commands."""
    words = ["make", "--dry-run", "up", "ARGS=--port 9000"]
    assert f'make up ARGS="{words[-1].removeprefix("ARGS=")}"' in README.read_text()
    done = subprocess.run(words, cwd=README.parent, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].endswith("/millstream up --port 9000")
    refused = subprocess.run(
        millstream("queues", "--url", NO_API), env=environment(), capture_output=True, text=True, check=False
    )
    assert NO_API in refused.stderr
