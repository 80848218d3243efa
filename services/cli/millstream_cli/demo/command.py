"""Runs the demo: starts the system, submits real work, kills a worker, shows what happens and checks the end."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from millstream import Client, MillstreamError
from millstream_cli.child import Sink
from millstream_cli.demo.mail_sink import HOST, mail_sink, message_ids
from millstream_cli.demo.summary import print_summary
from millstream_cli.demo.work import MAILS, POISON, Verdict, plan_work, submit_all
from millstream_cli.errors import CliError
from millstream_cli.output import one_line_errors
from millstream_cli.postgres.data_folder import substitute_of
from millstream_cli.program_name import command_line
from millstream_cli.rendering.line_printer import LinePrinter
from millstream_cli.system import RunningSystem, SystemPlan, run_system
from millstream_console.settings import ConsoleSettings
from millstream_contracts import Job, JobId
from millstream_workers.settings import BUILTIN

INTERNALS = Path("docs/internals.md")
FOLDER = Path(".millstream/demo")
LOG_NAME = "services.log"
HISTORY = "postgres"
APPS = (BUILTIN, "millstream_cli.demo.jobs:app")
VICTIM = "worker-1"
KILL_AT = 0.3
"""Share of the jobs that have ended when a worker is killed."""
GIVE_UP_S = 180.0
LEASE_S = 3.0
"""Short, so that the killed worker's jobs are taken back while one watches. The default is 30."""
ASK_EVERY_S = 0.1
READERS = 16


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Folder for all that it leaves; emptied first.",
)
@click.option("--no-history", is_flag=True, help="Run without a history of jobs.")
@click.option(
    "--stay", is_flag=True, help="Keep the system running at its end, until Ctrl-C, to look around in the console."
)
@one_line_errors(MillstreamError, OSError)
def demo(data: Path, *, no_history: bool, stay: bool) -> None:
    """Show the whole system at work, and check it.

    It runs here, gets real work, loses a worker on the way, and every job has to end as it should.
    """
    console = Console()
    _empty(data)
    (data / "mails").mkdir(parents=True)
    if anyio.run(_run, data.resolve(), console, not no_history, stay):
        raise click.exceptions.Exit(1)


def _empty(folder: Path) -> None:
    """Remove what an earlier demo left, and nothing else. Raises: CliError."""
    if folder.exists():
        if any(folder.iterdir()) and not (folder / LOG_NAME).exists():
            raise CliError(f"{folder} is not empty and no earlier demo's: choose another folder with --data")
        shutil.rmtree(folder)
        shutil.rmtree(substitute_of((folder / HISTORY).resolve()), ignore_errors=True)


async def _run(folder: Path, console: Console, has_history: bool, stays: bool) -> list[str]:
    """Run the demo, and say how it went. Returns: what is not as it should be. Raises: CliError."""
    complaints: list[str] | None = None
    with _log(folder) as log:
        async with mail_sink(folder / "mails") as smtp_port:
            plan = SystemPlan(
                folder=folder / "redis",
                history=folder / HISTORY if has_history else None,
                port=0,
                console_port=0,
                workers=2,
                apps=APPS,
                environ=_environ(smtp_port, folder / "reports"),
            )
            console.print("Starting Redis, ingest, dispatcher, reaper, the console and two workers ...")
            async with run_system(plan, log) as system, Client(system.url) as client:
                complaints = await _show(system, client, folder, console)
                _point_around(console, folder, system.console_url if stays else None)
                _tell(complaints, console)
                if stays:
                    await anyio.sleep_forever()
    # A signal ends the block and not what stands behind it.
    if complaints is None:
        raise CliError(f"{system.supervisor.signals[0].name}: the demo was stopped before its end")
    return complaints


async def _show(system: RunningSystem, client: Client, folder: Path, console: Console) -> list[str]:
    """Submit the work, watch it, and check it. Returns: what is not as it should be."""
    expected = await submit_all(client, plan_work())
    console.print(f"{len(expected)} jobs submitted to {system.url}")
    if system.console_url:
        console.print(f"They are shown at {system.console_url}/", highlight=False)
    killed = await _watch(system, client, len(expected), console)
    jobs = await _read(client, expected)
    dead = await client.dead(limit=500)
    print_summary(console, jobs)
    complaints = [f"{job.id} {complaint}" for job in jobs if (complaint := expected[job.id](job))]
    if len(dead.items) != POISON:
        complaints.append(f"the dead-letter list has {len(dead.items)} jobs, not {POISON}")
    if not killed:
        complaints.append(f"{VICTIM} was not killed: the jobs had ended before")
    return complaints + _check_mails(folder / "mails", console)


def _tell(complaints: list[str], console: Console) -> None:
    if not complaints:
        console.print("\n[bold green]Every job ended as it should.[/]")
        return
    console.print(f"\n[bold red]{len(complaints)} things are not as they should be[/]")
    for complaint in complaints[:20]:
        console.print(f"  {complaint}", highlight=False, markup=False)


def _environ(smtp_port: int, reports: Path) -> dict[str, str]:
    # Nothing of the user's own settings: the demo is to go the same way everywhere.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
    return inherited | {
        "MILLSTREAM_LEASE_S": str(LEASE_S),
        "MILLSTREAM_RENEW_EVERY_S": "0.5",
        "MILLSTREAM_INTERVAL_S": "1",
        "MILLSTREAM_SMTP_HOST": HOST,
        "MILLSTREAM_SMTP_PORT": str(smtp_port),
        "MILLSTREAM_SMTP_TLS": "none",
        "MILLSTREAM_REPORTS_FOLDER": str(reports),
    }


async def _watch(system: RunningSystem, client: Client, total: int, console: Console) -> bool:
    """Show progress until every job has settled or patience runs out; kill a worker on the way.

    Returns: whether the worker was killed.
    """
    killed = False
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, anyio.move_on_after(GIVE_UP_S):
        bar = progress.add_task("jobs ended", total=total)
        while True:
            ended = total - await _open_jobs(client)
            progress.update(bar, completed=ended)
            if ended >= total:
                break
            if not killed and ended >= KILL_AT * total:
                killed = True
                console.print(f"{VICTIM} is killed with SIGKILL; its jobs go to the other one when the lease is over")
                await system.supervisor.kill(VICTIM)
            await anyio.sleep(ASK_EVERY_S)
    return killed


async def _open_jobs(client: Client) -> int:
    queues = await client.queues()
    return sum(sum(queue.queued.values()) + queue.running + queue.scheduled for queue in queues)


async def _read(client: Client, ids: Mapping[JobId, Verdict]) -> list[Job]:
    jobs: list[Job] = []
    turns = anyio.Semaphore(READERS)

    async def read(job_id: JobId) -> None:
        async with turns:
            jobs.append(await client.get(job_id))

    async with anyio.create_task_group() as tasks:
        for job_id in ids:
            tasks.start_soon(read, job_id)
    return jobs


def _check_mails(mails: Path, console: Console) -> list[str]:
    counts = Counter(message_ids(mails))
    again = sum(counts.values()) - len(counts)
    if again:
        console.print(f"{again} mails came twice: their jobs ran in the killed worker, and at-least-once means that.")
    if len(counts) == MAILS:
        return []
    return [f"{len(counts)} different mails arrived, not {MAILS}"]


def _point_around(console: Console, folder: Path, console_url: str | None) -> None:
    """Say where to look; `console_url` is where the console stays."""
    console.print("\nWhere to look next")
    if console_url:
        console.print(f"  open this         {console_url}/ , until Ctrl-C", highlight=False)
    console.print(f"  mails             {folder / 'mails'}", highlight=False)
    console.print(f"  reports           {folder / 'reports'}", highlight=False)
    console.print(f"  logs              {folder / LOG_NAME}", highlight=False)
    if not console_url:
        console.print(f"  with a console    {command_line('demo')} --stay", highlight=False, soft_wrap=True)
    console.print(f"  your own jobs     {command_line('up')}, then {_console_of_up()}", highlight=False, soft_wrap=True)
    if INTERNALS.exists():  # an installation has no docs
        console.print(f"  how it works      {INTERNALS}", highlight=False)


def _console_of_up() -> str:
    return f"http://{HOST}:{ConsoleSettings().console_port}/"


@contextmanager
def _log(folder: Path) -> Iterator[Sink]:
    """Keep what the services say in a file. Yields: what takes their lines."""
    with (folder / LOG_NAME).open("w") as log:
        yield LinePrinter(log, [])
