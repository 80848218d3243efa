"""`stubs` writes contracts for a code base that has none of the handlers."""

import fnmatch

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.exit_codes import ExitCode
from millstream_cli.output import tell_error
from millstream_cli.stubs.module_writer import write_module
from millstream_contracts import did_you_mean


@click.command()
@click.argument("patterns", nargs=-1, metavar="[TYPE]...")
@url_option
@client_errors
def stubs(patterns: tuple[str, ...], *, url: str | None) -> None:
    """Write contracts of the job types that workers handle, as a Python module: `millstream stubs > jobs.py`.

    TYPE is a job type or a pattern such as 'invoice.*'; without one, all types are written.
    """
    with connect(url) as client:
        found = client.types()
    for pattern in patterns:
        if not fnmatch.filter([one.type for one in found], pattern):
            known = [one.type for one in found]
            tell_error(f"no worker has registered `{pattern}`{did_you_mean(pattern, known)}")
            raise click.exceptions.Exit(ExitCode.REFUSED)
    wanted = [one for one in found if not patterns or any(fnmatch.fnmatchcase(one.type, each) for each in patterns)]
    click.echo(write_module(sorted(wanted, key=lambda one: one.type)), nl=False)
