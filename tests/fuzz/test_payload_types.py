"""What ingest accepts of a payload is what a worker can decode, whatever the handler's type."""

from collections.abc import Callable
from typing import Any

import hypothesis
import msgspec
from fuzz.payload_types import TYPES, Drawn
from fuzz.payload_values import mutated, packed_binaries
from hypothesis import assume, event, given
from hypothesis import strategies as st
from msgspec import Raw

from millstream import App, HandlerError
from millstream.handler import Handler
from millstream_contracts import TypeRegistration
from millstream_submission.errors import SubmissionError
from millstream_submission.payload_schema import PayloadSchema, compile_schema
from millstream_submission.payloads import pack_json, pack_msgpack

Pack = Callable[[Raw, str], tuple[Any, bytes]]
FUZZ = hypothesis.settings.get_profile("fuzz")


def handler_of(annotation: Any) -> Handler[..., Any]:
    """Return a handler that takes this type. Types that are refused are not looked at."""

    def handle(payload: Any) -> None:
        """Do nothing."""

    handle.__annotations__["payload"] = annotation
    try:
        return App("fuzz").job("fuzz.type")(handle)
    except HandlerError as error:
        event(f"refused: {str(error)[-40:]}")
        assume(False)
        raise


def published(handler: Handler[..., Any]) -> PayloadSchema | None:
    """Return what ingest checks payloads against, from the registration as it is stored."""
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(handler.registration()), type=TypeRegistration)
    schema = compile_schema(stored.type, stored.payload_schema)
    assert (schema is None) == (stored.payload_schema is None), f"ingest cannot use {stored.payload_schema}"
    return schema


def verdicts(handler: Handler[..., Any], body: bytes, pack: Pack) -> tuple[bool, str]:
    """Return whether ingest takes a payload, and what became of it at a worker."""
    schema = published(handler)
    try:
        value, stored = pack(Raw(body), "/payload")
    except SubmissionError:
        assume(False)
        raise
    is_accepted = schema is None or not schema.errors(value)
    try:
        return is_accepted, f"decoded {handler.decode(stored)!r}"
    except Exception as error:  # noqa: BLE001 - whatever it raises, the job would be dead
        return is_accepted, f"{type(error).__name__}: {error}"


def assert_agreement(annotation: Any, value: Any, body: bytes, pack: Pack) -> bool:
    """Assert that both sides say the same of a payload. Returns: whether it is accepted."""
    handler = handler_of(annotation)
    is_accepted, outcome = verdicts(handler, body, pack)
    verdict = "accepted" if is_accepted else "refused"
    schema = handler.registration().payload_schema
    assert is_accepted == outcome.startswith("decoded"), f"{annotation} {value!r}: {verdict}, {outcome}; {schema}"
    return is_accepted


@hypothesis.settings(FUZZ, max_examples=FUZZ.max_examples * 8)
@given(TYPES, st.data())
def test_what_is_accepted_over_json_is_what_can_be_decoded(drawn: Drawn, data: st.DataObject) -> None:
    """A payload of any type, right or nearly so, is refused at submission or decoded by the worker."""
    annotation, values = drawn
    value = data.draw(values)
    if data.draw(st.booleans(), label="mutate"):
        value = data.draw(mutated(value))
    event(f"accepted: {assert_agreement(annotation, value, msgspec.json.encode(value), pack_json)}")


@hypothesis.settings(FUZZ, max_examples=FUZZ.max_examples * 8)
@given(TYPES, st.data())
def test_what_is_accepted_over_message_pack_is_what_can_be_decoded(drawn: Drawn, data: st.DataObject) -> None:
    """The same holds for MessagePack, with binary data wherever a text could be such."""
    annotation, values = drawn
    value = packed_binaries(data.draw(values), lambda _: data.draw(st.booleans()))
    if data.draw(st.booleans(), label="mutate"):
        value = packed_binaries(data.draw(mutated(value)), lambda _: data.draw(st.booleans()))
    assert_agreement(annotation, value, msgspec.msgpack.encode(value), pack_msgpack)
