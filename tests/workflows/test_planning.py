"""What is checked of a graph before it is stored, and what a refusal names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflows.graphs_to_plan import node, pack, refusals, unpack, workflow

from millstream_contracts import limits
from millstream_workflows import cycle_of, layers_of, plan


def result(name: str, **more: object) -> dict[str, object]:
    """Return a reference to the result of a node."""
    return {"$result": name, **more}


def test_a_reference_is_an_edge_and_an_input() -> None:
    """A node waits for the nodes that its payload and its `map` refer to, and for those of `after`, each once."""
    planned = plan(
        workflow(
            list=node(),
            check=node(),
            thumb=node(map=result("list", path="/images"), payload={"image": {"$item": ""}, "also": [result("list")]}),
            index=node(payload={"deep": [{"er": result("thumb")}]}, after=["check", "thumb"]),
        )
    )
    assert [(one.name, one.parents, one.inputs) for one in planned.nodes] == [
        ("list", (), ()),
        ("check", (), ()),
        ("thumb", (0,), (0,)),
        ("index", (1, 2), (2,)),
    ]
    assert [one.is_map for one in planned.nodes] == [False, False, True, False]


def test_a_node_may_refer_to_one_that_comes_later() -> None:
    """The order of the submission is that of the nodes, not that of their runs."""
    assert [one.parents for one in plan(workflow(last=node(after=["first"]), first=node())).nodes] == [(1,), ()]


def test_the_result_names_the_nodes_that_it_refers_to() -> None:
    """What the workflow answers at its end is made of results, which have to be kept."""
    planned = plan(workflow(result={"rows": result("b")}, a=node(), b=node()))
    assert planned.result_inputs == (1,)
    assert unpack(planned.result) == {"rows": {"$result": "b"}}


def test_a_cycle_is_refused_with_its_path() -> None:
    """The refusal names the nodes of a cycle in the order in which they would run, and no node outside of it."""
    [(place, detail)] = refusals(
        workflow(start=node(), a=node(after=["start", "c"]), b=node(after=["a"]), c=node(payload=result("b")))
    ).items()
    assert place == "/nodes/a"
    assert detail == "waits for itself: a → b → c → a"


def test_a_node_that_waits_for_itself_is_a_cycle() -> None:
    """The shortest cycle has one node."""
    assert refusals(workflow(a=node(payload=result("a")))) == {"/nodes/a": "waits for itself: a → a"}


def test_a_long_cycle_is_cut() -> None:
    """A refusal is no longer than what it answers."""
    nodes = {f"n{at}": node(after=[f"n{(at - 1) % 500}"]) for at in range(500)}
    [detail] = refusals(workflow(**nodes)).values()
    assert detail.count("→") < 12


def test_each_unknown_node_is_named_at_its_place() -> None:
    """All faults are told at once, with what may have been meant."""
    found = refusals(
        workflow(
            result={"a/b": result("tumb")},
            list=node(),
            thumb=node(after=["list", "lst"], payload={"x~y": [result("nothing-like-it")]}),
        )
    )
    assert found == {
        "/nodes/thumb/after/1": "there is no node `lst`; did you mean `list`?",
        "/nodes/thumb/payload/x~0y/0/$result": "there is no node `nothing-like-it`",
        "/result/a~1b/$result": "there is no node `tumb`; did you mean `thumb`?",
    }


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"$result": 7}, "/$result"),
        ({"$result": "list", "pth": ""}, "/pth"),
        ({"$result": "list", "path": "images"}, "/path"),
        ({"$result": "list", "path": "/a~2"}, "/path"),
        ({"$result": "list", "path": None}, "/path"),
        ({"$item": None}, "/$item"),
        ({"$item": "x"}, "/$item"),
        ({"$item": "", "default": 1}, "/default"),
        ({"$literal": 1, "$result": "list"}, "/$literal"),
    ],
)
def test_a_broken_reference_is_refused(payload: object, place: str) -> None:
    """An object with a reference's name and anything else in it is a mistake, and says how to mean it as it is."""
    found = refusals(workflow(list=node(), other=node(map=result("list"), payload={"in": payload})))
    assert list(found) == [f"/nodes/other/payload/in{place}"]


def test_a_literal_is_not_read() -> None:
    """Nothing in a literal is a reference."""
    [one] = plan(workflow(a=node(payload={"$literal": {"$result": "nowhere", "$item": 3}}))).nodes
    assert one.parents == ()
    assert one.is_template


def test_an_item_needs_a_map() -> None:
    """`$item` is refused outside of the payload of a node with `map`."""
    found = refusals(
        workflow(result={"$item": ""}, a=node(payload=[{"$item": ""}]), b=node(map=result("a", default={"$item": ""})))
    )
    assert list(found) == ["/nodes/a/payload/0", "/result"]


@pytest.mark.parametrize("value", [[1, 2], {"$item": ""}, {"list": result("a")}, "a", {"$literal": [1]}])
def test_a_map_is_a_reference_to_a_result(value: object) -> None:
    """What else stands in `map` is refused."""
    assert "/nodes/b/map" in refusals(workflow(a=node(), b=node(map=value)))


def test_failures_are_counted_by_maps_alone() -> None:
    """`max_failures` of a node without `map` would do nothing, and is refused."""
    assert list(refusals(workflow(a=node(max_failures=1)))) == ["/nodes/a/max_failures"]


def test_a_reference_to_what_may_fail_needs_a_default() -> None:
    """A node that runs after a failure, and the result of a workflow, may find no result."""
    found = refusals(
        workflow(
            result=[result("spare"), result("spare", default=0), result("list")],
            list=node(),
            spare=node(optional=True),
            index=node(payload=[result("list"), result("list", default=None)], after_failure="run"),
        )
    )
    assert list(found) == ["/nodes/index/payload/0", "/result/0"]
    assert all("needs a `default`" in detail for detail in found.values())


def test_the_number_of_edges_is_bounded() -> None:
    """A graph may have `MAX_WORKFLOW_EDGES`, and a node `MAX_PARENTS` parents."""
    first = {f"a{at}": node() for at in range(limits.MAX_PARENTS)}
    full = node(after=list(first))
    behind = {f"b{at}": full for at in range(limits.MAX_WORKFLOW_EDGES // limits.MAX_PARENTS)}
    assert refusals(workflow(**first, **behind)) == {}
    assert list(refusals(workflow(**first, **behind, more=node(after=["a0"])))) == ["/nodes"]
    assert list(refusals(workflow(**first, x=node(), b=node(after=list(first), payload=result("x"))))) == ["/nodes/b"]


def test_a_refusal_names_a_bounded_number_of_faults() -> None:
    """Ten thousand mistakes are no answer of ten thousand lines."""
    assert len(refusals(workflow(a=node(payload=[result("b")] * 5000)))) == 100


@given(st.data())
def test_layers_hold_each_node_behind_its_parents(data: st.DataObject) -> None:
    """A graph whose edges go one way has no cycle, and each node is in the layer behind the last of its parents."""
    count = data.draw(st.integers(1, 12))
    order = data.draw(st.permutations(range(count)))
    parents: list[list[int]] = [[] for _ in order]
    for at, place in enumerate(order):
        parents[place] = data.draw(st.lists(st.sampled_from(order[:at]), unique=True)) if at else []
    layers = layers_of(parents)
    depth = {place: at for at, layer in enumerate(layers) for place in layer}
    assert cycle_of(parents) == []
    assert all(depth[place] == max((depth[one] + 1 for one in parents[place]), default=0) for place in range(count))


@given(st.lists(st.lists(st.integers(0, 7), max_size=3), min_size=8, max_size=8))
def test_what_is_in_no_layer_has_a_cycle(parents: list[list[int]]) -> None:
    """A cycle that is found is one: each of its nodes waits for the one before."""
    cycle = cycle_of([sorted(set(before)) for before in parents])
    placed = sum(map(len, layers_of([sorted(set(before)) for before in parents])))
    assert bool(cycle) == (placed < len(parents))
    assert all(before in parents[place] for before, place in zip(cycle, cycle[1:] + cycle[:1], strict=True))


def test_a_payload_without_references_is_stored_as_it_is() -> None:
    """Most payloads need no composing, and nothing is done to them."""
    [one] = plan(workflow(a=node(payload={"n": 2**64 - 1}))).nodes
    assert not one.is_template
    assert pack({"n": 2**64 - 1}) in one.blueprint
