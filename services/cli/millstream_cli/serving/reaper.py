"""`millstream reaper`: takes back what vanished workers held, and sweeps up."""

import click

from millstream_cli.serving.starting import load_settings, service_command
from millstream_reaper.service import run_reaper
from millstream_reaper.settings import ReaperSettings


@click.command()
@service_command()
def reaper() -> None:
    """Recover the jobs of lost workers, and clean up.

    A job that its worker was lost with too often is buried. Run as many as you like.
    """
    run_reaper(load_settings(ReaperSettings))
