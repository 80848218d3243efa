"""`millstream new`: writes a project that runs."""

import shlex
from pathlib import Path

import click

from millstream_cli.new_project.project_name import ProjectName, read_project_name
from millstream_cli.new_project.writer import write_project
from millstream_cli.output import one_line_errors
from millstream_cli.program_name import command_line
from millstream_cli.reloading.options import can_reload


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@one_line_errors(OSError)
def new(folder: Path) -> None:
    """Write a project into FOLDER: an app, tests, and what runs it.

    The last part of FOLDER is the name of the project. A folder that is not empty is left alone.
    """
    name = read_project_name(folder.resolve().name)
    written = write_project(folder, name)
    click.echo(f"{name.text}: {len(written)} files in {folder}")
    click.echo("Next:")
    for step in _next_steps(folder, name):
        click.echo(f"  {step}")


def _next_steps(folder: Path, name: ProjectName) -> list[str]:
    app = f"{name.package}.jobs:app"
    reload = ["--reload"] if can_reload() else []
    return [
        *([] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]),
        command_line("up", app, *reload),
        f"python -m {name.package} ann 19.90     # in another terminal",
    ]
