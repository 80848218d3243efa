"""Schedules that code declares: what they become, and what is refused where it is written."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sdk.contexts import context_of

from millstream import App, Context, CronContext, HandlerError
from millstream_contracts import SCHEDULE_TAG, SCHEDULED_FOR_TAG, ScheduleDefinition


class Order(msgspec.Struct):
    """A payload."""

    id: int


async def charge(order: Order) -> None:
    """Take a payload."""


async def nightly(ctx: CronContext) -> datetime:
    """Return the occasion."""
    return ctx.occasion


def defined(app: App[Any], name: str) -> ScheduleDefinition:
    """Return what an app declares."""
    return app.schedules[name].definition


def test_cron_registers_a_handler_and_a_schedule_of_its_name() -> None:
    """`@app.cron` makes a job type without a payload, and a schedule of the same name with its options."""
    app = App("shop")
    app.cron("stock.nightly", "0 3 * * *", tz="Europe/Paris", overlap="skip", jitter=timedelta(minutes=1), timeout=60)(
        nightly
    )
    definition = defined(app, "stock.nightly")
    assert (definition.cron, definition.tz, definition.overlap) == ("0 3 * * *", "Europe/Paris", "skip")
    assert definition.jitter_s == 60.0
    assert msgspec.msgpack.decode(definition.job) == {"type": "stock.nightly", "payload": None}
    assert app.handlers["stock.nightly"].policy.timeout_s == 60
    assert app.schedules["stock.nightly"].app == "shop"


def test_an_interval_is_a_schedule_too() -> None:
    """A number or a timedelta in place of an expression is the length of an interval."""
    app = App("shop")
    app.cron("often", 30)(nightly)
    app.cron("seldom", timedelta(hours=6))(nightly)
    assert (defined(app, "often").every_s, defined(app, "seldom").every_s) == (30.0, 21_600.0)


def test_a_handler_may_have_several_schedules_with_payloads() -> None:
    """`.schedule()` declares a schedule with a payload, which is stored as the handler takes it."""
    app = App("shop")
    handler = app.job("order.charge")(charge)
    handler.schedule("first", "@daily", Order(1))
    handler.schedule("second", "@hourly", Order(2), missed="all")
    assert msgspec.msgpack.decode(defined(app, "second").job) == {"type": "order.charge", "payload": {"id": 2}}
    assert defined(app, "second").missed == "all"


def test_schedules_of_included_apps_are_declared_too() -> None:
    """An app declares the schedules of the apps that it includes, also those that are added later, by their own app."""
    inner, outer = App("inner"), App("outer")
    handler = inner.job("order.charge")(charge)
    outer.include(inner)
    handler.schedule("first", "@daily", Order(1))
    assert outer.schedules["first"].app == "inner"


def test_two_schedules_of_one_name_are_refused() -> None:
    """A name belongs to one schedule of an app."""
    app = App("shop")
    handler = app.job("order.charge")(charge)
    handler.schedule("first", "@daily", Order(1))
    handler.schedule("first", "@hourly", Order(1))
    with pytest.raises(HandlerError, match="schedule `first` is declared twice"):
        _ = app.schedules


def cron(*arguments: Any, **options: Any) -> Callable[[], object]:
    """Return what registers a function of `@app.cron`."""
    return lambda: App("shop").cron(*arguments, **options)(nightly)


async def takes_payload(order: Order, ctx: CronContext) -> None:
    """Take a payload."""


async def takes_context(ctx: Context) -> None:
    """Take the context of jobs."""


async def takes_cron(order: Order, ctx: CronContext) -> None:
    """Take the context of schedules."""


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("schedule `a`: cron: the minute of `61 \\* \\* \\* \\*` cannot be read", cron("a", "61 * * * *")),
    ("did you mean `Europe/Paris`", cron("a", "@daily", tz="Europe/Pari")),
    ("six fields", cron("a", "0 0 3 * * *")),
    ("never due", cron("a", "0 0 31 2 *")),
    ("unknown option `overlaps`; did you mean `overlap`", cron("a", "@daily", overlaps="skip")),
    ("Invalid enum value 'maybe'", cron("a", "@daily", overlap="maybe")),
    ("`\\$.every_s`", cron("a", 0.5)),
    ("no job type", cron("A b", "@daily")),
    ("takes a CronContext, or nothing", lambda: App("shop").cron("a", "@daily")(takes_payload)),  # type: ignore[type-var]
    ("takes a CronContext, or nothing", lambda: App("shop").cron("a", "@daily")(takes_context)),
    ("a CronContext is for `@app.cron`", lambda: App("shop").job("a")(takes_cron)),
    ("unknown option `timezone`", lambda: App("shop").job("a")(charge).schedule("x", 60, Order(1), timezone="UTC")),  # type: ignore[call-arg]
    ("the payload is none of `a`", lambda: App("shop").job("a")(charge).schedule("x", "@daily", {"id": "one"})),  # type: ignore[call-overload]
    ("schedule `not a name`", lambda: App("shop").job("a")(charge).schedule("not a name", "@daily", Order(1))),
    ("needs a time zone|timezone", lambda: App("shop").cron("a", 60, anchor=datetime(2026, 1, 1))(nightly)),  # noqa: DTZ001
]


@pytest.mark.parametrize(("words", "declare"), REFUSED, ids=[words for words, _ in REFUSED])
def test_what_is_wrong_with_a_schedule_is_said_where_it_is_written(words: str, declare: Callable[[], object]) -> None:
    """A schedule that could not be kept is refused when its module is imported."""
    with pytest.raises(HandlerError, match=words):
        declare()


async def test_the_occasion_is_what_the_schedule_names_in_its_zone() -> None:
    """A handler reads for which time it runs, in the zone of its schedule, however late the job is."""
    app = App("shop")
    handler: Any = app.cron("nightly", "0 0 * * *", tz="Europe/Paris")(nightly)
    tags = {SCHEDULE_TAG: "nightly", SCHEDULED_FOR_TAG: "2026-11-26T23:00:00Z"}
    [context] = handler.arguments(None, context_of(CronContext, "nightly", tags=tags))
    assert context.schedule == "nightly"
    assert context.occasion == datetime(2026, 11, 26, 23, tzinfo=UTC)
    assert f"{context.occasion:%Y-%m-%d %H:%M}" == "2026-11-27 00:00"


@pytest.mark.parametrize("tags", [{}, {SCHEDULED_FOR_TAG: "no time"}])
async def test_the_occasion_of_a_job_by_hand_is_its_submission(tags: dict[str, str]) -> None:
    """A job of a schedule's type that was submitted by hand runs for the time at which that was."""
    context = context_of(CronContext, "nightly", tags=tags)
    assert context.schedule is None
    assert context.occasion.tzinfo is not None
