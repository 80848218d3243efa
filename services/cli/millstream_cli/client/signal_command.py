"""The command `jobs signal`: send a signal to a job."""

from pathlib import Path

import click

from millstream_cli.client.connection import client_errors, connect, url_option
from millstream_cli.client.payload_argument import payload_of
from millstream_cli.output import json_option, print_json
from millstream_cli.wording import printable

_OUTCOMES = {
    "delivered": "the job goes on",
    "kept": "the job keeps it until it waits for it",
    "replayed": "an earlier request with this key has sent it",
}


@click.command()
@click.argument("job_id")
@click.argument("name")
@click.argument("payload", required=False)
@click.option("--file", "file", type=click.Path(path_type=Path), help="Read the payload from a file; - is stdin.")
@click.option("--idempotency-key", help="The same key sends no second signal.")
@url_option
@json_option
@client_errors
def signal(
    job_id: str,
    name: str,
    payload: str | None,
    *,
    file: Path | None,
    idempotency_key: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Send the signal NAME to a job, with a JSON PAYLOAD."""
    with connect(url) as client:
        receipt = client.signal(job_id, name, payload_of(payload, file), idempotency_key=idempotency_key)
    if as_json:
        print_json(receipt)
        return
    click.echo(f"{printable(receipt.name)}: {_OUTCOMES.get(receipt.outcome, receipt.outcome)}")
