"""`millstream ...`: the entry point of everything.

A command is imported when it runs: so the process of a service does not import the others.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import cast

import click

MODULES = {
    "up": "millstream_cli.up",
    "demo": "millstream_cli.demo.command",
    "ingest": "millstream_cli.serving.ingest",
    "dispatcher": "millstream_cli.serving.dispatcher",
    "worker": "millstream_cli.serving.worker",
    "reaper": "millstream_cli.serving.reaper",
    "submit": "millstream_cli.client_commands",
    "job": "millstream_cli.client_commands",
    "dead": "millstream_cli.client_commands",
    "queues": "millstream_cli.client_commands",
    "demand": "millstream_cli.demand_command",
    "doctor": "millstream_cli.doctor.command",
    "check": "millstream_cli.check_command",
    "migrate": "millstream_cli.history_commands",
}
"""The module of each command."""


class Commands(Mapping[str, click.Command]):
    """The commands by name. Looking one up imports it."""

    def __getitem__(self, name: str) -> click.Command:
        command: click.Command = getattr(import_module(MODULES[name]), name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


# click only reads it.
@click.group(
    commands=cast("MutableMapping[str, click.Command]", Commands()),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="millstream")
def main() -> None:
    """Millstream: a job scheduler on Redis Streams.

    `up` runs everything here; `demo` shows it at work. Services read their settings from MILLSTREAM_* variables.
    """


if __name__ == "__main__":
    main()
