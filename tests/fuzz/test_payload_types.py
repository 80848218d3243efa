"""Ingest accepts exactly those payloads that a worker can decode, whatever the handler's type is."""

from typing import Any

import hypothesis
import msgspec
from fuzz.payload_types import TYPES, Drawn
from fuzz.payload_values import mutated, packed_binaries
from hypothesis import assume, event, given
from hypothesis import strategies as st
from payload_route import Refused, Route

from millstream import HandlerError
from millstream.payloads import DataType, plain_result
from millstream_ingest.http.negotiation import Encoding
from millstream_submission.errors import SubmissionError
from millstream_workers.attempt.results import encode_result
from millstream_workers.errors import ResultTypeError

FUZZ = hypothesis.settings.get_profile("fuzz")


def route_to(annotation: Any) -> Route:
    """Return the route to a handler of this type; types that are refused are skipped."""
    try:
        return Route(annotation)
    except HandlerError as error:
        event(f"no handler: {str(error)[-40:]}")
        assume(False)
        raise


def decoded(route: Route, stored: bytes | Refused, other: bytes) -> str:
    """Return what a worker decodes from the stored payload, or from the one that would be stored."""
    try:
        return f"decoded {route.handler.decode(other if isinstance(stored, Refused) else stored)!r}"
    except Exception as error:  # noqa: BLE001 - whatever it raises, the job would be dead
        return f"{type(error).__name__}: {error}"


def assert_agreement(annotation: Any, value: Any, encoding: Encoding) -> None:
    """Assert that ingest accepts a payload if and only if the worker can decode it."""
    route = route_to(annotation)
    packed = msgspec.msgpack.encode(value)
    body = packed if encoding is Encoding.MSGPACK else msgspec.json.encode(value)
    try:
        stored = route.accept(body, encoding)
    except SubmissionError:
        assume(False)
        raise
    verdict = "refused" if isinstance(stored, Refused) else "accepted"
    event(verdict)
    outcome = decoded(route, stored, packed)
    schema = route.registration.payload_schema
    assert (verdict == "accepted") == outcome.startswith("decoded"), f"{value!r} {verdict}, but {outcome}; {schema}"


@hypothesis.settings(FUZZ, max_examples=FUZZ.max_examples * 8)
@given(TYPES, st.data())
def test_what_is_accepted_over_json_is_what_can_be_decoded(drawn: Drawn, data: st.DataObject) -> None:
    """A JSON payload of any type, valid or nearly so, is refused at submission or decoded by the worker."""
    annotation, values = drawn
    value = data.draw(values)
    if data.draw(st.booleans(), label="mutate"):
        value = data.draw(mutated(value))
    assert_agreement(annotation, value, Encoding.JSON)


@hypothesis.settings(FUZZ, max_examples=FUZZ.max_examples * 8)
@given(TYPES, st.data())
def test_what_is_accepted_over_message_pack_is_what_can_be_decoded(drawn: Drawn, data: st.DataObject) -> None:
    """A MessagePack payload, with binary data for any text, is refused at submission or decoded by the worker."""
    annotation, values = drawn
    value = packed_binaries(data.draw(values), lambda _: data.draw(st.booleans()))
    if data.draw(st.booleans(), label="mutate"):
        value = packed_binaries(data.draw(mutated(value)), lambda _: data.draw(st.booleans()))
    assert_agreement(annotation, value, Encoding.MSGPACK)


@hypothesis.settings(FUZZ, max_examples=FUZZ.max_examples * 4)
@given(TYPES, st.data())
def test_a_payload_is_the_same_in_json_and_message_pack(drawn: Drawn, data: st.DataObject) -> None:
    """Binary data and its base64 are accepted or refused alike, and decode to equal values."""
    annotation, values = drawn
    value = data.draw(values)
    route = route_to(annotation)
    texts = route.accept(msgspec.json.encode(value), Encoding.JSON)
    binaries = packed_binaries(value, lambda _: data.draw(st.booleans()))
    other = route.accept(msgspec.msgpack.encode(binaries), Encoding.MSGPACK)
    assert isinstance(texts, Refused) == isinstance(other, Refused)
    if isinstance(texts, bytes) and isinstance(other, bytes):
        assert shown(route.handler.decode(texts)) == shown(route.handler.decode(other))


@hypothesis.settings(FUZZ, max_examples=FUZZ.max_examples * 4)
@given(TYPES, st.data())
def test_a_handler_may_return_what_it_may_take(drawn: Drawn, data: st.DataObject) -> None:
    """A payload of any type can be returned as a result of the same type, and arrives as an equal value."""
    annotation, values = drawn
    route = route_to(annotation)
    try:
        stored = route.accept(msgspec.json.encode(data.draw(values)), Encoding.JSON)
        gives = DataType(annotation, is_result=True)
    except (HandlerError, SubmissionError):
        assume(False)
        raise
    assume(isinstance(stored, bytes))
    value = route.handler.decode(stored)
    try:
        result = encode_result(value, gives)
    except (OverflowError, TypeError, ResultTypeError) as error:
        # 1e20 is an integer in JSON, and too large for MessagePack; an array has no form for UNSET; sets and keys have
        # dropped duplicates that their least length counted.
        assume(not any(known in str(error) for known in ("serialize ints", "UnsetType", "of length >=")))
        raise
    for read in (gives.decode(result), gives.convert(msgspec.msgpack.decode(result))):
        # The order of a set is not kept, and not every class compares its values.
        assert read == value or shown(read) == shown(value)


def shown(payload: Any) -> Any:
    """Return a decoded payload in JSON; binary data stays where any type is declared."""

    def hook(other: Any) -> Any:
        if other is msgspec.UNSET:  # in an array, which has no form for it
            return "unset"
        return shown(msgspec.msgpack.decode(other)) if isinstance(other, msgspec.Raw) else plain_result(other)

    return msgspec.to_builtins(payload, str_keys=True, enc_hook=hook)
