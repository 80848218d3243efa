"""What the driver is asked for, host by host: addresses, times, settings of the session and kinds of server."""

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from millstream_history import HistoryError, migrate, open_history
from millstream_history.connection.address import parse_history_url
from millstream_history.connection.connecting import ANSWER_WITHIN_S, CONNECT_WITHIN_S, SHORTEST_CONNECT_S, connect


class Driver:
    """Stands in for `asyncpg.connect`: notes what it is asked for, and fails as it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.failures: Iterator[Exception] = iter(())

    async def connect(self, dsn: str | None = None, **options: Any) -> None:
        """Fail."""
        self.asked.append({"dsn": dsn, **options})
        raise next(self.failures, ConnectionRefusedError("the last"))

    def seen(self, *names: str) -> list[Any]:
        """Return these options of each attempt."""
        return [tuple(one[name] for name in names) if len(names) > 1 else one[names[0]] for one in self.asked]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Return a driver that reaches no server."""
    made = Driver()
    monkeypatch.setattr(asyncpg, "connect", made.connect)
    return made


async def attempt(url: str) -> None:
    """Try to connect."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the driver was told to fail with
        await connect(parse_history_url(url))


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("", CONNECT_WITHIN_S),
        ("connect_timeout=0", CONNECT_WITHIN_S),
        ("connect_timeout=-1", CONNECT_WITHIN_S),
        ("connect_timeout=1", SHORTEST_CONNECT_S),
        ("connect_timeout=2", 2),
        ("connect_timeout=77", 77),
    ],
)
async def test_each_host_has_the_seconds_that_the_url_gives_it(driver: Driver, asked: str, given: float) -> None:
    """As with libpq, but for its wait without end: then a dispatcher would never say what is wrong."""
    await attempt(f"postgresql://a,b?{asked}")
    assert driver.seen("timeout") == [given] * 2
    assert (SHORTEST_CONNECT_S, CONNECT_WITHIN_S) == (2.0, 5.0)


async def test_answers_are_waited_for_half_a_minute_and_migrations_without_end(driver: Driver) -> None:
    """A database that hangs must not hold a dispatcher for ever; a change of a large table takes its time."""
    async with open_history("postgresql://a") as history:
        with pytest.raises(HistoryError):
            await history.look()
    with pytest.raises(HistoryError):
        await migrate("postgresql://a")
    assert driver.seen("command_timeout") == [ANSWER_WITHIN_S, None]
    assert ANSWER_WITHIN_S == 30.0


@pytest.mark.parametrize(
    ("query", "settings"),
    [
        ("", {"application_name": "millstream"}),
        ("fallback_application_name=day", {"application_name": "day"}),
        ("fallback_application_name=day&application_name=night", {"application_name": "night"}),
        ("options=-c%20a%3Db", {"application_name": "millstream", "options": "-c a=b"}),
    ],
)
async def test_the_session_is_set_up_as_the_url_says(driver: Driver, query: str, settings: dict[str, str]) -> None:
    """The fallback is what a program calls itself where its user has given no name."""
    await attempt(f"postgresql://a?{query}")
    assert driver.seen("server_settings") == [settings]


@pytest.mark.parametrize(
    ("wanted", "attempts"),
    [
        ("", [("a", 1, None), ("b", 2, None)]),
        ("read-write", [("a", 1, "read-write"), ("b", 2, "read-write")]),
        ("prefer-standby", [("a", 1, "standby"), ("b", 2, "standby"), ("a", 1, "any"), ("b", 2, "any")]),
    ],
)
async def test_hosts_are_asked_in_the_order_of_the_list(
    driver: Driver, wanted: str, attempts: list[tuple[str, int, str | None]]
) -> None:
    """A standby is looked for on every host before a primary will do."""
    await attempt(f"postgresql://a:1,b:2?target_session_attrs={wanted}")
    assert driver.seen("host", "port", "target_session_attrs") == attempts


@pytest.mark.parametrize(
    ("failure", "goes_on"),
    [
        (ConnectionRefusedError("first"), True),
        (TimeoutError("first"), True),
        (asyncpg.CannotConnectNowError("first"), True),
        (asyncpg.TargetServerAttributeNotMatched("first"), True),
        (asyncpg.InvalidPasswordError("first"), False),
        (asyncpg.InvalidCatalogNameError("first"), False),
        (asyncpg.TooManyConnectionsError("first"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_the_next_host_is_asked_where_this_one_cannot_serve(
    driver: Driver, failure: Exception, goes_on: bool
) -> None:
    """One that is away, starting or of another kind; a refusal holds for all of them, and the last failure is told."""
    driver.failures = iter([failure])
    with pytest.raises(Exception, match="the last" if goes_on else "first") as caught:
        await connect(parse_history_url("postgresql://a,b"))
    assert (caught.value is failure) is not goes_on
    assert driver.seen("host") == (["a", "b"] if goes_on else ["a"])
