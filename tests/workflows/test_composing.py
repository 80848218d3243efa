"""Inputs that are made of results."""

import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflows.graphs_to_plan import node, pack, unpack, workflow

from millstream_contracts import NodeSubmission, Submission, limits
from millstream_workflows import InputError, compose, compose_result, map_items, plan

LIST = {"images": ["a.png", "b.png"], "a/b": {"~": 7}, "none": None}
MAPPED = {"$result": "list", "path": "/images"}


def blueprint(one: NodeSubmission) -> bytes:
    """Return the blueprint of a node beside one that is named `list`."""
    return plan(workflow(list=node(), one=one)).nodes[1].blueprint


def composed(payload: Any, results: dict[str, Any] | None = None, **fields: Any) -> Any:
    """Return the payload of a node once the nodes before it have these results."""
    made = compose(blueprint(node(payload=payload, **fields)), packed(LIST if results is None else results["list"]))
    return unpack(msgspec.msgpack.decode(made, type=Submission).payload)


def packed(value: Any) -> dict[str, bytes]:
    """Return the results of the node `list`."""
    return {"list": pack(value)}


@pytest.mark.parametrize(
    ("path", "value"),
    [("", LIST), ("/images", LIST["images"]), ("/images/1", "b.png"), ("/a~1b/~0", 7), ("/none", None)],
)
def test_a_reference_stands_for_a_part_of_a_result(path: str, value: object) -> None:
    """A JSON pointer names the part; without one it is the whole result."""
    assert composed({"in": [{"$result": "list", "path": path}]}) == {"in": [value]}


@pytest.mark.parametrize("path", ["/imags", "/images/2", "/images/-", "/images/01", "/images/-1", "/none/x", "/"])
def test_a_part_that_is_not_there_ends_the_node(path: str) -> None:
    """The reason names the node and the path."""
    with pytest.raises(InputError, match="`list` has nothing at") as caught:
        composed({"$result": "list", "path": path})
    assert caught.value.reason == "input_missing"


def test_a_default_stands_in_for_what_is_not_there() -> None:
    """A default is taken for a part, and for the whole result of a node that has none; it is no reference itself."""
    default = {"$result": "elsewhere"}
    reference = {"$result": "list", "path": "/nothing", "default": default}
    assert composed(reference) == default
    made = compose(blueprint(node(payload={"$result": "list", "default": None}, after_failure="run")), {})
    assert unpack(msgspec.msgpack.decode(made, type=Submission).payload) is None


def test_a_result_of_null_is_a_result() -> None:
    """A default stands in for nothing, not for null."""
    assert composed({"$result": "list", "default": 1}, {"list": None}) is None


def test_a_literal_comes_out_without_its_object() -> None:
    """What is in it is as it was submitted."""
    assert composed([{"$literal": {"$result": "x"}}, {"$literal": [1]}]) == [{"$result": "x"}, [1]]


def test_the_other_fields_of_a_submission_are_those_of_the_node() -> None:
    """What the node says of its job holds for the job."""
    made = compose(
        blueprint(node(type="image.resize", payload={"$result": "list"}, max_attempts=3, tags={"a": "b"}, delay_s=5)),
        packed(LIST),
    )
    submission = msgspec.msgpack.decode(made, type=Submission)
    assert (submission.type, submission.max_attempts, submission.tags, submission.delay_s) == (
        "image.resize",
        3,
        {"a": "b"},
        5,
    )


def test_each_item_of_a_list_is_the_input_of_a_job() -> None:
    """`$item` is the item, or a part of it, beside references to results."""
    payload = {"w": {"$item": "/w"}, "all": {"$item": ""}, "n": {"$result": "list", "path": "/0/w"}}
    made, results = blueprint(node(map={"$result": "list"}, payload=payload)), packed([{"w": 1}, {"w": 2}])
    jobs = [compose(made, results, item) for item in map_items(made, results)]
    assert [unpack(msgspec.msgpack.decode(job, type=Submission).payload) for job in jobs] == [
        {"w": 1, "all": {"w": 1}, "n": 1},
        {"w": 2, "all": {"w": 2}, "n": 1},
    ]


def test_an_empty_list_has_no_items() -> None:
    """A map over nothing has no jobs."""
    assert map_items(blueprint(node(map=MAPPED)), packed({"images": []})) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"images": {"a": 1}}, "input_no_list"),
        ({"images": "a.png"}, "input_no_list"),
        ({}, "input_missing"),
        ({"images": list(range(limits.MAX_MAP_ITEMS + 1))}, "inputs_too_large"),
    ],
)
def test_a_map_over_what_is_no_list_ends_the_node(value: object, reason: str) -> None:
    """A map runs over a list of `MAX_MAP_ITEMS` at most."""
    with pytest.raises(InputError) as caught:
        map_items(blueprint(node(map=MAPPED)), packed(value))
    assert caught.value.reason == reason


def test_a_payload_that_grows_too_large_ends_the_node() -> None:
    """References that repeat a large result are refused before they are put together."""
    large = "x" * 1000
    fitting = [{"$result": "list"}] * (limits.MAX_PAYLOAD_BYTES // 1010)
    assert len(composed(fitting, {"list": large})) == len(fitting)
    made, results = blueprint(node(payload=[{"$result": "list"}] * 40_000)), {"list": pack(large)}
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            compose(made, results)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "inputs_too_large"
    assert peak_bytes < 40_000 * len(large) / 2


def test_bytes_beside_references_count_too() -> None:
    """The bound is that of the whole payload."""
    rest = "y" * (limits.MAX_PAYLOAD_BYTES - 500)
    with pytest.raises(InputError, match="bytes"):
        composed([rest, {"$result": "list"}], {"list": "x" * 1000})


def test_a_result_that_cannot_be_read_ends_the_node() -> None:
    """Garbage in the place of a result is an outcome of the node, and no error of the component that starts it."""
    with pytest.raises(InputError):
        compose(blueprint(node(payload={"$result": "list", "path": "/a"})), {"list": b"\xc1"})
    with pytest.raises(InputError):
        map_items(blueprint(node(map={"$result": "list"})), {"list": b"\xc1"})


def test_the_result_of_a_workflow_is_made_of_results() -> None:
    """The result is a value with references, as a payload is."""
    planned = plan(workflow(result={"first": {"$result": "list", "path": "/0"}}, list=node()))
    assert unpack(compose_result(planned.result, packed([1, 2]))) == {"first": 1}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_any_value_passes_through_unchanged(value: Any) -> None:
    """A result, an item, a default and a literal arrive as they were."""
    payload = [
        {"$result": "list"},
        {"$result": "list", "path": "/0", "default": value},
        {"$literal": value},
        {"$item": ""},
    ]
    made = blueprint(node(map={"$result": "list"}, payload=payload))
    submission = msgspec.msgpack.decode(compose(made, packed([value]), pack(value)), type=Submission)
    assert pack(unpack(submission.payload)) == pack([[value], value, value, value])
