"""References name a job type, what it takes and what it gives, without its handler."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from millstream import App, Handler, HandlerError, JobRef, NewJob, NotBoundError, contract


@dataclass
class Order:
    """A payload."""

    id: int


def test_a_contract_says_what_its_function_takes_and_gives() -> None:
    """A contract has the type of the payload and that of the result, of `def` and of `async def` alike."""

    @contract("order.charge")
    def charge(order: Order) -> list[int]: ...

    @contract("order.charge")
    async def charge_async(order: Order) -> list[int]: ...

    @contract("ping")
    def ping() -> str: ...

    for ref in (charge, charge_async):
        assert (ref.type, ref.takes, ref.gives) == ("order.charge", Order, list[int])
    assert (ping.type, ping.takes, ping.gives) == ("ping", None, str)


def test_a_handler_is_a_reference() -> None:
    """A handler is a reference with the types of its annotations, and with no payload where it takes none."""
    app = App("x")

    @app.job("a")
    async def a(order: Order) -> str: ...

    @app.job("b")
    def b() -> None: ...

    @app.job("c")
    def c(payload: Any): ...  # type: ignore[no-untyped-def]

    assert all(isinstance(handler, JobRef) for handler in app)
    assert [(ref.takes, ref.gives) for ref in app] == [(Order, str), (None, None), (Any, Any)]
    assert repr(a) == "<Handler a>"
    assert repr(JobRef("a", gives=str)) == "<JobRef a>"
    assert isinstance(a, Handler)


def two(a: int, b: int) -> int:
    """Take two payloads."""
    raise NotImplementedError


def unannotated(a) -> int:  # type: ignore[no-untyped-def]
    """Take a payload of no type."""
    raise NotImplementedError


def unknown(a: "Nowhere") -> int:  # type: ignore[name-defined] # noqa: F821
    """Take a payload of a type that does not exist."""
    raise NotImplementedError


def undecodable(a: int) -> Callable[[int], Awaitable[int]]:
    """Give what is no data."""
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (two, "two: a contract takes one payload at most"),
        (unannotated, "unannotated: a contract takes one payload at most, with its type"),
        (unknown, "unknown: an annotation cannot be read"),
        (undecodable, "`a`: a result of type .* cannot be"),
    ],
)
def test_contract_raises_when_its_function_says_too_little(function: Any, message: str) -> None:
    """A contract whose types cannot be used is refused when it is declared."""
    with pytest.raises(HandlerError, match=message):
        contract("a")(function)


def test_reference_raises_when_its_type_is_malformed() -> None:
    """A reference to what can be no job type is refused."""
    with pytest.raises(HandlerError, match="`Bad Name` is no job type"):
        JobRef("Bad Name", gives=int)


async def test_reference_raises_when_it_is_submitted_outside_of_a_handler() -> None:
    """A reference without an app is submitted by a client, and says so."""
    with pytest.raises(NotBoundError, match=r"`ping` is submitted within a handler, or by `client\.submit"):
        await JobRef("ping", gives=str).submit()


def test_new_job_is_of_the_type_of_its_reference() -> None:
    """A job of a reference is encoded like one of a type by its name."""
    ref = JobRef("order.charge", takes=Order)
    job = NewJob(ref, Order(3), delay=5)
    assert (job.type, job.content) == ("order.charge", NewJob("order.charge", {"id": 3}, delay=5).content)
