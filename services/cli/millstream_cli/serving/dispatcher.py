"""`millstream dispatcher`: releases, expires and measures jobs, and writes history."""

import click

from millstream_cli.serving.starting import load_settings, service_command
from millstream_dispatcher.service import run_dispatcher
from millstream_dispatcher.settings import DispatcherSettings
from millstream_history import HistoryError


@click.command()
@service_command(HistoryError)
def dispatcher() -> None:
    """Release due jobs, measure queues, write history.

    It also expires the jobs that are late. Run as many as you like.
    """
    run_dispatcher(load_settings(DispatcherSettings))
