"""The command `encryption`: which data keys there are, and what is done with them."""

import os
from datetime import UTC, datetime

import anyio
import click

from millstream_cli.command_group import CommandGroup
from millstream_cli.encryption import key_room
from millstream_cli.errors import CliError
from millstream_cli.output import json_option, one_line_errors, print_json, print_table
from millstream_cli.settings import DoctorSettings, load
from millstream_cli.wording import ago
from millstream_contracts import moment
from millstream_streams import StoreError


@click.group(cls=CommandGroup)
def encryption() -> None:
    """Look at the data keys of encrypted jobs, and change them.

    It needs the rights of ingest on Redis, at MILLSTREAM_REDIS_URL, and the keys of MILLSTREAM_ENCRYPTION_KEYS or its
    companions.
    """


@encryption.command()
@json_option
@one_line_errors(StoreError)
def status(*, as_json: bool) -> None:
    """List the data keys, and which of them cannot be opened here: exit status 1 when there are such."""
    seen = anyio.run(key_room.look, load(DoctorSettings, os.environ))
    if as_json:
        print_json(seen)
    else:
        now = datetime.now(UTC)
        rows = [(one.tenant, one.key, one.state, one.wrapped_by, ago(moment(one.made_at_ms), now)) for one in seen]
        print_table("Data keys", ("tenant", "key", "state", "wrapped by", "made"), rows, "There are no data keys.")
    lost = sum(one.state == "lost" for one in seen)
    if lost:
        raise CliError(f"{lost} of {len(seen)} data keys cannot be opened with the keys that are here")


@encryption.command()
@click.option("--tenant", help="Of which tenant; without it, of all.")
@json_option
@one_line_errors(StoreError)
def rotate(*, tenant: str | None, as_json: bool) -> None:
    """Make new data keys, by which all that is submitted is encrypted within a minute. Older ones are kept."""
    made = anyio.run(key_room.rotate, load(DoctorSettings, os.environ), tenant)
    if as_json:
        print_json(made)
    else:
        print_table("Made", ("tenant", "key"), list(made.items()), "There are no data keys.")


@encryption.command()
@json_option
@one_line_errors(StoreError)
def rewrap(*, as_json: bool) -> None:
    """Wrap all data keys by the present key-encryption key, so that older ones of these are needed no more.

    Jobs are not touched. Exit status 1 when a data key cannot be opened here.
    """
    done = anyio.run(key_room.rewrap, load(DoctorSettings, os.environ))
    if as_json:
        print_json(done)
    else:
        click.echo(f"{done.rewrapped} data keys rewrapped, {done.unchanged} were already")
    if done.lost:
        raise CliError(f"not opened, since their key-encryption keys are not here: {', '.join(done.lost)}")
