"""`millstream console`: serves the console."""

import click

from millstream_cli.serving.starting import load_settings, service_command
from millstream_console.service import run_console
from millstream_console.settings import ConsoleSettings


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one, and the log says which.")
@click.option("--url", help="Address of ingest.")
@service_command()
def console(host: str | None, port: int | None, url: str | None) -> None:
    """Serve the console: pages in which jobs are found, understood and mended."""
    run_console(load_settings(ConsoleSettings, console_host=host, console_port=port, url=url))
