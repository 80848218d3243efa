"""`millstream ...`: the entry point of everything.

A command is imported when it runs: so the process of a service does not import the others.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import cast

import click

from millstream_cli.command_group import CommandGroup

MODULES = {
    "up": "millstream_cli.up",
    "demo": "millstream_cli.demo.command",
    "new": "millstream_cli.new_project.command",
    "ingest": "millstream_cli.serving.ingest",
    "dispatcher": "millstream_cli.serving.dispatcher",
    "worker": "millstream_cli.serving.worker",
    "reaper": "millstream_cli.serving.reaper",
    "console": "millstream_cli.serving.console",
    "submit": "millstream_cli.client.job_commands",
    "job": "millstream_cli.client.job_commands",
    "jobs": "millstream_cli.client.jobs_commands",
    "stack": "millstream_cli.client.stack_command",
    "tail": "millstream_cli.client.tail_command",
    "top": "millstream_cli.top.command",
    "dead": "millstream_cli.client.dead_commands",
    "incidents": "millstream_cli.client.incident_command",
    "webhooks": "millstream_cli.client.webhook_commands",
    "operations": "millstream_cli.client.operation_commands",
    "schedules": "millstream_cli.client.schedule_commands",
    "workflows": "millstream_cli.client.workflow_commands",
    "batches": "millstream_cli.client.batch_commands",
    "templates": "millstream_cli.client.template_commands",
    "keys": "millstream_cli.client.key_commands",
    "tenants": "millstream_cli.client.tenant_commands",
    "audit": "millstream_cli.client.audit_commands",
    "encryption": "millstream_cli.encryption.commands",
    "sessions": "millstream_cli.client.session_commands",
    "queues": "millstream_cli.client.queue_commands",
    "workers": "millstream_cli.client.fleet_commands",
    "types": "millstream_cli.client.fleet_commands",
    "demand": "millstream_cli.client.fleet_commands",
    "stats": "millstream_cli.client.stats_command",
    "stubs": "millstream_cli.stubs.command",
    "doctor": "millstream_cli.doctor.command",
    "check": "millstream_cli.check_command",
    "migrate": "millstream_cli.history_commands",
    "history": "millstream_cli.history.commands",
}
"""The module of each command."""


class Commands(Mapping[str, click.Command]):
    """The commands by name. Looking one up imports it."""

    def __getitem__(self, name: str) -> click.Command:
        path = MODULES[name]
        try:
            command: click.Command = getattr(import_module(path), name)
        except ModuleNotFoundError as error:
            if not error.name or error.name.startswith("millstream"):
                raise
            return _not_installed(name, error.name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


def _not_installed(name: str, package: str) -> click.Command:
    """Return what stands for a command of which a package is missing, as `demo` in an image for services."""

    def refuse(**_: object) -> None:
        raise click.ClickException(
            f"`{name}` needs the package {package}, which is not installed: pip install 'millstream[all]'; the image "
            "with it is built with `--target demo`"
        )

    # Whatever its options are: the reason is the same.
    words = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)
    context = {"ignore_unknown_options": True, "help_option_names": list[str]()}
    return click.Command(
        name, callback=refuse, params=[words], help=f"Not installed: it needs {package}.", context_settings=context
    )


# click only reads it.
@click.group(
    cls=CommandGroup,
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
