"""A contract that `stubs` writes for a handler of any type reads and writes what the handler does."""

import itertools
import sys
from types import ModuleType
from typing import Any

import hypothesis
import msgspec
from fuzz.payload_types import TYPES, Drawn
from hypothesis import assume, event, given
from hypothesis import strategies as st
from payload_route import Refused, Route

from millstream import HandlerError, NewJob
from millstream_cli.stubs.module_writer import write_module
from millstream_ingest.http.negotiation import Encoding
from millstream_submission.errors import SubmissionError

FUZZ = hypothesis.settings.get_profile("fuzz")

_numbers = itertools.count()


def contract_of(route: Route) -> Any:
    """Return the contract that is written for the handler of a route, whose result has the type of its payload."""
    schema = route.registration.payload_schema
    text = write_module([msgspec.structs.replace(route.registration, result_schema=schema)])
    module = ModuleType(f"written_{next(_numbers)}")
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, module.__name__, "exec"), module.__dict__)
    except BaseException as error:
        error.add_note(text)
        raise
    finally:
        del sys.modules[module.__name__]
    return module.route_type


@hypothesis.settings(FUZZ, max_examples=FUZZ.max_examples * 2)
@given(TYPES, st.data())
def test_a_written_contract_reads_and_writes_what_its_handler_does(drawn: Drawn, data: st.DataObject) -> None:
    """A value that ingest accepts can be read by the contract; what was read is accepted when it is submitted."""
    annotation, values = drawn
    try:
        route = Route(annotation)
        stored = route.accept(msgspec.json.encode(data.draw(values)), Encoding.JSON)
    except (HandlerError, SubmissionError):
        assume(False)
        raise
    assume(isinstance(stored, bytes))
    contract = contract_of(route)
    event("a class" if "<class 'written" in repr(contract.gives) else "no class")
    value = contract.result_type.convert(msgspec.msgpack.decode(stored))
    try:
        sent = msgspec.msgpack.decode(NewJob(contract, value).content, type=dict[str, msgspec.Raw])["payload"]
    except TypeError as error:
        assume("serialize ints" not in str(error))  # 1e20 is an integer in JSON, and too large for MessagePack
        raise
    again = route.accept(bytes(sent), Encoding.MSGPACK)
    errors = again.errors if isinstance(again, Refused) else []
    # Sets and keys have dropped duplicates that a least length counted.
    assume(not any("less than" in error.detail for error in errors))
    assert errors == [], repr(value)
