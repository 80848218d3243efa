"""`check` looks at handlers without Redis."""

import os
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

import click

from millstream import App, MillstreamError
from millstream.function_reader import line_of
from millstream.handler import Handler
from millstream.own_frames import shown_path
from millstream.schedules import DeclaredSchedule
from millstream_cli.apps import load_apps
from millstream_cli.client.type_report import print_type
from millstream_cli.output import json_option, one_line_errors, print_json, print_table
from millstream_cli.settings import load
from millstream_contracts import TypeRegistration
from millstream_schedules import described, shown_expression
from millstream_workers.errors import WorkerError
from millstream_workers.settings import WorkerSettings


@click.command()
@click.argument("apps", nargs=-1, required=True)
@click.option("-v", "--verbose", is_flag=True, help="Print all of each handler; of an error the whole traceback.")
@json_option
@one_line_errors(WorkerError, MillstreamError)
def check(apps: tuple[str, ...], *, verbose: bool, as_json: bool) -> None:
    """Check the handlers of APPS, each `module:name`."""
    app = _load(apps, verbose=verbose)
    registrations = [handler.registration() for handler in app]
    if as_json:
        print_json(registrations)
    elif verbose:
        _print_all(app, registrations)
    else:
        columns = ("type", "handler", "runs in", "attempts", "timeout s")
        print_table("handlers", columns, [_row(app, one) for one in registrations], "no handlers")
        if schedules := app.schedules:
            click.echo()
            rows = [_schedule_row(name, one) for name, one in schedules.items()]
            print_table("schedules", ("name", "rule", "when", "if running"), rows, "no schedules")
    if not registrations:
        raise click.exceptions.Exit(1)


def _load(apps: tuple[str, ...], *, verbose: bool) -> App[Any]:
    try:
        return load_apps(apps, load(WorkerSettings, os.environ))
    except (WorkerError, MillstreamError) as error:
        if verbose:
            click.echo("".join(traceback.format_exception(error.__cause__ or error)), err=True)
        raise


def _row(app: App[Any], one: TypeRegistration) -> tuple[object, ...]:
    timeout = one.policy.timeout_s or "none"
    return one.type, one.handler, app.handlers[one.type].isolation, one.policy.max_attempts, timeout


def _schedule_row(name: str, one: DeclaredSchedule) -> tuple[object, ...]:
    definition = one.definition
    return name, shown_expression(definition), described(definition), definition.overlap


def _print_all(app: App[Any], registrations: Iterable[TypeRegistration]) -> None:
    for number, one in enumerate(registrations):
        if number:
            click.echo()
        print_type(one, _more(app.handlers[one.type]))


def _more(handler: Handler) -> Iterator[tuple[str, str]]:
    yield "runs in", handler.isolation
    if place := line_of(handler.function):
        file, line = place
        yield "defined at", f"{shown_path(file)}:{line}"
