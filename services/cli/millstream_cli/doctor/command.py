"""`doctor`: whether the system as it stands can be trusted with jobs. A gate for scripts, and a report for people."""

import os
from contextlib import suppress

import anyio
import click
from msgspec.structs import asdict

from millstream_cli.doctor.report import Report
from millstream_cli.output import json_option, one_line_errors, print_json
from millstream_cli.settings import DoctorSettings, load
from millstream_history import HistoryUrlError
from millstream_runtime.examination.history_section import examine_history
from millstream_runtime.examination.redis_section import examine_redis
from millstream_runtime.examination.services_section import examine_services, not_seen
from millstream_streams import NEEDS, StoreError, StoreUnavailableError, Topology, open_broker

ASK_EVERY_S = 1.0


@click.command()
@click.option("--for", "service", type=click.Choice(list(NEEDS)), help="Try all that this service does on Redis.")
@click.option("--live", is_flag=True, help="Also require that a process of every service lives.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0.0, 3_600.0),
    default=0.0,
    help="Seconds to wait until nothing has to change.",
)
@json_option
@one_line_errors(StoreError, HistoryUrlError)
def doctor(service: str | None, *, live: bool, wait_s: float, as_json: bool) -> None:
    """Look at Redis, the history database and the services. Exits 1 when something has to change.

    The history is looked at where MILLSTREAM_HISTORY_URL is set.
    """
    if service and live:
        raise click.UsageError("--for tries the rights of one service and --live looks at all: give one of the two")
    settings = load(DoctorSettings, os.environ)
    found, report = anyio.run(_examine_within, settings, service, live, wait_s)
    if as_json:
        worst = {**asdict(found.worst), "mode": found.mode}
        print_json(
            {
                "redis": worst,
                "nodes": found.servers,
                "sections": report.sections,
                "objections": report.objections,
                "advice": report.advice,
            }
        )
    else:
        report.show()
    if report.objections:
        raise click.exceptions.Exit(1)


async def _examine_within(
    settings: DoctorSettings, service: str | None, must_live: bool, wait_s: float
) -> tuple[Topology, Report]:
    """Look again and again until nothing has to change, or the time is over: the last look counts."""
    give_up_at = anyio.current_time() + wait_s
    while anyio.current_time() + ASK_EVERY_S < give_up_at:
        with suppress(StoreUnavailableError):
            found, report = await _examine(settings, service, must_live)
            if not report.objections:
                return found, report
        await anyio.sleep(ASK_EVERY_S)
    return await _examine(settings, service, must_live)


async def _examine(settings: DoctorSettings, service: str | None, must_live: bool) -> tuple[Topology, Report]:
    async with open_broker(settings.redis, namespace=settings.namespace, patience_s=0.5) as broker:
        redis = await examine_redis(broker, service, vitals=service is None)
        found, sections = redis.topology, [redis.section]
        if settings.history_url:
            sections.append(await examine_history(settings.history_url))
        if service is None:
            sections += (
                await examine_services(broker, must_live=must_live)
                if found.can_be_used
                else [not_seen("a node of the cluster does not answer", must_live=must_live)]
            )
    return found, Report(sections)
