"""`millstream ...`: the entry point of everything."""

import click

from millstream_cli.check_commands import check, doctor
from millstream_cli.client_commands import dead, job, queues, submit
from millstream_cli.demo.command import demo
from millstream_cli.history_commands import migrate
from millstream_cli.service_commands import dispatcher, ingest, reaper, worker
from millstream_cli.up import up


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="millstream")
def main() -> None:
    """Millstream: a job scheduler on Redis Streams.

    `up` runs everything here; `demo` shows it at work. Services read their settings from MILLSTREAM_* variables.
    """


for command in (up, demo, ingest, dispatcher, worker, reaper, submit, job, dead, queues, doctor, check, migrate):
    main.add_command(command)


if __name__ == "__main__":
    main()
