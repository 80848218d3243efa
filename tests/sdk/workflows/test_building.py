"""Workflows as code builds them, and the submissions that they are."""

from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

import msgspec
import pytest

from millstream import ITEM, JobRef, NewJob, Workflow, chain
from millstream_contracts import Backoff, WorkflowSubmission
from millstream_workflows import plan


class Album(msgspec.Struct):
    """A payload, and a result."""

    images: list[str]
    owner: int = 0


list_album = JobRef("album.list", takes=int, gives=Album)
resize = JobRef("image.resize", takes=str, gives=int)
index = JobRef("album.index", takes=list[int], gives=str)


def nodes_of(flow: Workflow) -> dict[str, Any]:
    """Return the nodes of a submission, which has to be one that can be planned."""
    plan(msgspec.msgpack.decode(flow.content, type=WorkflowSubmission))
    return msgspec.msgpack.decode(flow.content)["nodes"]


def thumbnails() -> Workflow:
    """Return a workflow that maps over a result."""
    flow = Workflow("thumbnails", on_failure="cancel", retention=timedelta(hours=2))
    images = flow.add("list", list_album, 7)
    thumbs = flow.map("thumb", resize, over=images.result.images, max_failures=3)
    last = flow.add("index", index, thumbs.result_or([]), after_failure="run")
    flow.returns({"index": last.result})
    return flow


def test_results_are_references() -> None:
    """What a node returns stands in the payload of another as a reference, and the whole is one submission."""
    submitted = msgspec.msgpack.decode(thumbnails().content)
    assert submitted == {
        "name": "thumbnails",
        "on_failure": "cancel",
        "retention_s": 7200.0,
        "nodes": {
            "list": {"type": "album.list", "payload": 7},
            "thumb": {
                "type": "image.resize",
                "map": {"$result": "list", "path": "/images"},
                "payload": {"$item": ""},
                "max_failures": 3,
            },
            "index": {
                "type": "album.index",
                "payload": {"$result": "thumb", "default": []},
                "after_failure": "run",
            },
        },
        "result": {"index": {"$result": "index"}},
    }
    nodes_of(thumbnails())


@pytest.mark.parametrize(
    ("part", "path"),
    [
        (lambda result: result.images, "/images"),
        (lambda result: result["images"][0], "/images/0"),
        (lambda result: result["/images/0"].name, "/images/0/name"),
        (lambda result: result["a/b~c"], "/a~1b~0c"),
        (lambda result: result["/"], "/"),
    ],
)
def test_parts_of_a_result_are_pointers(part: Any, path: str) -> None:
    """Attributes, keys and indexes lead into a result; a text that begins with `/` is a pointer."""
    flow = Workflow("a")
    first = flow.add("one", "a")
    flow.add("two", "b", part(first.result))
    expected = {"$result": "one", "path": path}
    assert msgspec.msgpack.decode(flow.content)["nodes"]["two"]["payload"] == expected


def test_results_may_stand_deep_in_a_payload_of_any_kind() -> None:
    """Lists, objects and Structs may hold results; what else is in them is encoded as in any payload."""
    flow = Workflow("a")
    first = flow.add("one", list_album, 1)
    flow.add("two", "b", {"album": Album([first.result.images[0]], first.result.owner), "path": PurePosixPath("/tmp")})
    assert nodes_of(flow)["two"]["payload"] == {
        "album": {"images": [{"$result": "one", "path": "/images/0"}], "owner": {"$result": "one", "path": "/owner"}},
        "path": "/tmp",
    }


def test_data_that_looks_like_a_reference_is_data() -> None:
    """A payload of a user is never read as a reference, because it is escaped."""
    flow = Workflow("a")
    flow.add("one", "b", [{"$result": "x"}, {"$item": 3}, {"$literal": {"$result": 1}}])
    assert nodes_of(flow)["one"]["payload"] == [
        {"$literal": {"$result": "x"}},
        {"$literal": {"$item": 3}},
        {"$literal": {"$literal": {"$result": 1}}},
    ]
    with pytest.raises(TypeError, match="cannot hold results"):
        flow.add("two", "b", {"$result": flow.nodes["one"].result})


def test_an_item_may_be_a_part_of_the_payload() -> None:
    """`payload` says what becomes of the item."""
    flow = Workflow("a")
    images = flow.add("list", list_album, 7)
    flow.map("thumb", "image.resize", over=images.result.images, payload={"image": ITEM.url, "width": 200})
    assert nodes_of(flow)["thumb"]["payload"] == {"image": {"$item": "/url"}, "width": 200}


def test_options_are_fields_of_the_node() -> None:
    """Times have units, and what is None is left out."""
    flow = Workflow("a")
    first = flow.add("one", "a")
    flow.add(
        "two",
        "b",
        after=first,
        optional=True,
        delay=timedelta(seconds=5),
        timeout=3,
        priority=None,
        backoff=Backoff(base_s=2),
        tags={"team": "a"},
    )
    two = nodes_of(flow)["two"]
    assert two.pop("backoff")["base_s"] == 2
    assert two == {
        "type": "b",
        "payload": None,
        "after": ["one"],
        "optional": True,
        "delay_s": 5.0,
        "timeout_s": 3,
        "tags": {"team": "a"},
    }


def test_mistakes_are_refused_where_they_are_made() -> None:
    """A node that is there, one that is not, and an option that is none are errors of the line that has them."""
    flow, other = Workflow("a"), Workflow("b")
    one, foreign = flow.add("one", "a"), other.add("foreign", "a")
    with pytest.raises(ValueError, match="has a node `one` already"):
        flow.add("one", "a")
    with pytest.raises(ValueError, match="has no node `foreign`"):
        flow.add("two", "a", foreign.result)
    with pytest.raises(ValueError, match="has no node `foreign`"):
        flow.add("two", "a", after=[one, foreign])
    other.add("one", "a")
    with pytest.raises(ValueError, match="has no node `one`"):
        flow.add("two", "a", after=other.nodes["one"])
    with pytest.raises(ValueError, match="has no node"):
        flow.returns(foreign.result)
    with pytest.raises(TypeError, match="did you mean `delay`"):
        flow.add("two", "a", dealy=3)
    with pytest.raises(TypeError, match="`over` takes the result of a node"):
        flow.map("two", "a", over=[1, 2])
    with pytest.raises(TypeError, match="payload of node `two`"):
        flow.add("two", "a", object())
    with pytest.raises(ValueError, match="has no nodes"):
        _ = Workflow("empty").content
    assert list(flow.nodes) == ["one"]


@pytest.mark.parametrize("use", [bool, iter, len, lambda result: result[1.5], lambda result: result + 1])
def test_a_result_that_is_not_there_decides_nothing(use: Any) -> None:
    """Code that computes with a placeholder is a mistake, and told at once."""
    with pytest.raises(TypeError):
        use(Workflow("a").add("one", "a").result)


def test_a_chain_hands_results_on() -> None:
    """Each job takes the result of the one before; the first has its own payload, the result is that of the last."""
    flow = chain(NewJob(list_album, 7, priority="low", delay=3), "count", "count", index, name="import")
    assert nodes_of(flow) == {
        "album.list": {"type": "album.list", "payload": 7, "priority": "low", "delay_s": 3},
        "count": {"type": "count", "payload": {"$result": "album.list"}},
        "count-2": {"type": "count", "payload": {"$result": "count"}},
        "album.index": {"type": "album.index", "payload": {"$result": "count-2"}},
    }
    submitted = msgspec.msgpack.decode(flow.content)
    assert (submitted["name"], submitted["result"]) == ("import", {"$result": "album.index"})
    with pytest.raises(TypeError, match="`callback`"):
        chain(NewJob("a", callback="https://example.org"))
