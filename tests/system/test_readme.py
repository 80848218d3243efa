"""The commands and programs of README.md work as they stand there."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from system.readme import commands, programs
from system.running import README, environment, millstream

COMMANDS = commands(README)

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on PATH")


@pytest.fixture
def run(system, tmp_path):
    """Return a function that runs a command of README in a shell, and returns its output."""
    # Where the reader has a checkout with `make up` in another terminal, this has the system of the tests.
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / ".curlrc").write_text(f'silent\nconnect-to = "localhost:8080:127.0.0.1:{system.port}"\n')

    async def run_in_shell(command: str) -> str:
        process = await asyncio.create_subprocess_shell(
            command,
            cwd=tmp_path,
            env=environment(CURL_HOME=str(tmp_path)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode().replace("\r\n", "\n")

    return run_in_shell


@needs_curl
async def test_submit_and_read(run):
    """The submission answers 202 with the job and its address, and the address shows its result."""
    [submit], [read] = COMMANDS["Submit a job"], COMMANDS["Read it"]
    head, body = (await run(submit)).split("\n\n")
    job = json.loads(body)
    assert head.startswith("HTTP/1.1 202")
    assert f"\nlocation: /v1/jobs/{job['id']}\n" in f"{head}\n"
    assert read.endswith("/report.generate_00...")
    found = json.loads(await run(read.replace("report.generate_00...", job["id"])))
    assert (found["id"], found["type"]) == (job["id"], "report.generate")


@needs_curl
async def test_wait(run):
    """The wait answers with the ended job, which failed twice on the way."""
    [command] = COMMANDS["Wait for the end"]
    job = json.loads(await run(command))
    assert (job["state"], job["attempts"], job["priority"], job["result"]) == ("succeeded", 3, "high", 3)


@needs_curl
async def test_idempotency(run):
    """The command with a key, run twice, makes one job."""
    [command] = COMMANDS["Submit safely twice"]
    first, second = json.loads(await run(command)), json.loads(await run(command))
    assert first["id"] == second["id"]


@needs_curl
async def test_messagepack(run, client):
    """The request in MessagePack is answered in JSON, and its report is made."""
    [command] = COMMANDS["MessagePack"]
    job = json.loads(await run(command))
    [file] = await client.result(job["id"], 60)
    assert (await anyio.Path(file["path"]).read_text()).split() == ["n", "1"]


@needs_curl
async def test_dead_letters(run, client):
    """The commands make, list and redrive a dead letter."""
    make, show, redrive = COMMANDS["Dead letters"]
    job = json.loads(await run(make))
    assert job["state"] == "dead"
    assert job["id"] in {letter["id"] for letter in json.loads(await run(show))["items"]}
    assert "demo.poison_00..." in redrive
    report = json.loads(await run(redrive.replace("demo.poison_00...", job["id"])))
    assert (report["done"], report["refused"]) == (1, 0)
    assert (await client.wait(job["id"], 60)).state == "dead"


async def test_every_command_of_readme_is_tried_here():
    """Every command of README has a test here."""
    assert COMMANDS.keys() == {
        "Submit a job",
        "Read it",
        "Wait for the end",
        "Submit safely twice",
        "MessagePack",
        "Dead letters",
    }


def test_handler_of_readme_passes_check(tmp_path):
    """The handler of README passes `check` in a file of its name."""
    handler, _ = programs(README)
    assert handler.startswith("# shop.py\n")
    (tmp_path / "shop.py").write_text(handler)
    command = millstream("check", "shop:app")
    checked = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "invoice.send" in checked.stdout


async def test_client_of_readme_prints_what_the_handler_of_readme_returns(system):
    """The client program of README prints the result of its handler, which the system of these tests runs."""
    _, caller = programs(README)
    # The delay is for people to see something; where `async with` stands is left to them.
    text = caller.replace("http://127.0.0.1:8080", system.url).replace("delay=10", "delay=0.1")
    head, _, body = text.partition("\n\n")
    lines = [head, "import asyncio", "async def main():", *(f"    {line}" for line in body.splitlines())]
    program = "\n".join([*lines, "asyncio.run(main())"])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (out.decode(), process.returncode) == ("invoice 42 sent\n", 0), err.decode()
