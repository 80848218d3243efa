"""The signature of a handler tells its payload, its context and its result."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from millstream import App, Context, HandlerError
from millstream.signature import inspect_signature


class Invoice(msgspec.Struct):
    """A payload."""

    invoice_id: int


async def send(payload: Invoice, ctx: Context) -> str:
    """Send an invoice.

    At length.
    """
    return f"{ctx.job_id} {payload.invoice_id}"


def unannotated(payload) -> None:
    """Declare no type of the payload."""


def two_payloads(a: int, b: int) -> None:
    """Declare two payloads."""


def keyword_only(*, a: int) -> None:
    """Declare a payload by keyword."""


def starred(*a: int) -> None:
    """Declare any number of payloads."""


def double_starred(**a: int) -> None:
    """Declare any keywords."""


def unknown_name(a: "Nowhere") -> None:  # type: ignore[name-defined] # noqa: F821
    """Declare a type that does not exist."""


def undecodable(a: list[int] | set[int]) -> None:
    """Declare a union whose members no decoder can distinguish."""


def test_registration_describes_the_type_for_others() -> None:
    """A registration has the schemas, the policy, the first paragraph of the docstring and the place of the code."""
    registration = App("x").job("invoice.send", timeout=3)(send).registration("v1")
    assert registration.type == "invoice.send"
    assert registration.policy.timeout_s == 3
    assert registration.description == "Send an invoice."
    assert registration.handler.endswith("test_signature:send")
    assert registration.code_version == "v1"
    schema = registration.payload_schema
    assert schema is not None
    assert schema["$defs"]["Invoice"]["required"] == ["invoice_id"]
    assert registration.result_schema == {"type": "string"}


def test_registration_has_no_schema_when_anything_goes() -> None:
    """A handler without annotations has no schema for payload and result."""
    registration = App("x").job("a")(lambda: None).registration()
    assert (registration.payload_schema, registration.result_schema) == (None, None)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unannotated, "`payload` needs a type annotation"),
        (two_payloads, "one payload"),
        (keyword_only, "must be positional"),
        (starred, "must be positional"),
        (double_starred, "must be positional"),
        (unknown_name, "cannot be read"),
        (undecodable, "cannot be decoded"),
    ],
)
def test_inspect_signature_raises_when_a_handler_cannot_be_called(function: Callable[..., Any], message: str) -> None:
    """A handler that a worker could not call is refused with its place and the reason."""
    with pytest.raises(HandlerError, match=message) as caught:
        inspect_signature(function)
    assert function.__qualname__ in str(caught.value)


def test_decode_gives_the_annotated_type() -> None:
    """A payload is decoded to the declared type, or refused."""
    handler = App("x").job("a")(send)
    assert handler.decode(msgspec.msgpack.encode({"invoice_id": 3})) == Invoice(3)
    with pytest.raises(msgspec.ValidationError, match="invoice_id"):
        handler.decode(msgspec.msgpack.encode({}))


def with_bounds(a: Annotated[int, Meta(ge=5)]) -> None:
    """Declare a number from five on."""


def test_bounds_beside_an_annotation_hold() -> None:
    """The bounds of an `Annotated` payload are in the schema and in the decoder."""
    handler = App("x").job("a")(with_bounds)
    assert handler.registration().payload_schema == {"type": "integer", "minimum": 5}
    with pytest.raises(msgspec.ValidationError):
        handler.decode(msgspec.msgpack.encode(4))


def giving_a_coroutine(a: int) -> Coroutine[None, None, str]:
    """Return a coroutine that returns a text."""
    raise NotImplementedError


def giving_nothing() -> None:
    """Return nothing."""


def test_result_schema_is_that_of_what_the_handler_gives() -> None:
    """The result schema of a coroutine is that of its result, and None is null."""
    app = App("x")
    assert app.job("a")(giving_a_coroutine).registration().result_schema == {"type": "string"}
    assert app.job("b")(giving_nothing).registration().result_schema == {"type": "null"}


def giving_what_crashes() -> tuple[int, int] | Annotated[str, Meta(min_length=1)]:
    """Declare a result that msgspec must not read."""
    return (1, 2)


def giving_what_has_no_schema() -> dict[bytes, complex]:
    """Declare a result that JSON cannot express."""
    return {}


@pytest.mark.parametrize(
    ("function", "message"),
    [(giving_what_crashes, "crashes msgspec"), (giving_what_has_no_schema, "has no schema")],
)
def test_job_raises_when_the_result_cannot_be_described(function: Callable[..., Any], message: str) -> None:
    """A result type that has no schema, or that msgspec crashes on, is refused by its name."""
    with pytest.raises(HandlerError, match=rf"`a`: a result of type .* {message}"):
        App("x").job("a")(function)
