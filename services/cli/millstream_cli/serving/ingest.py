"""`millstream ingest`: serves the HTTP API."""

import click

from millstream_cli.serving.starting import load_settings, service_command
from millstream_history import HistoryError
from millstream_ingest.http.errors import IngestError
from millstream_ingest.service import run_ingest
from millstream_ingest.settings import IngestSettings
from millstream_runtime import BindError


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one, and the log says which.")
@service_command(IngestError, BindError, HistoryError)
def ingest(host: str | None, port: int | None) -> None:
    """Serve the HTTP API."""
    run_ingest(load_settings(IngestSettings, host=host, port=port))
