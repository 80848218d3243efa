"""Both clients submit jobs over a real connection."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

import msgspec
import pytest
from opentelemetry import context, trace
from sdk.client.scripted_api import Connect, Received, Reply, ScriptedApi, problem

from millstream import InvalidError, SyncClient, UnavailableError
from millstream.jobs.new_job import NewJob
from millstream_contracts import ENDS, Backoff, Callback, JobEvent, limits


class Invoice(msgspec.Struct):
    """A payload as a Struct."""

    invoice_id: int
    due: datetime


@dataclass
class Order:
    """A payload as a dataclass."""

    order_id: int


class Line(TypedDict):
    """A payload as a TypedDict."""

    line_id: int


def accept_batch(request: Received) -> Reply:
    """Accept each job of a batch."""
    items = [{"index": n, "status": 202, "id": f"x_{n}"} for n in range(len(request.body["jobs"]))]
    return Reply(207, {"accepted": len(items), "rejected": 0, "items": items})


async def test_submit_sends_msgpack_and_returns_a_handle(connect: Connect, api: ScriptedApi) -> None:
    """A submission is one MessagePack POST, and its response becomes a handle."""
    handle = await connect().submit("email.send", {"a": 1})
    (request,) = api.received
    assert (request.method, request.path) == ("POST", "/v1/jobs")
    assert request.headers["content-type"] == request.headers["accept"] == "application/vnd.msgpack"
    assert request.body == {"type": "email.send", "payload": {"a": 1}}
    assert handle.id == handle.job.id == next(iter(api.stored.values()))["id"]


async def test_submit_names_options_as_the_api_does_when_given(connect: Connect, api: ScriptedApi) -> None:
    """Options are sent under the names and in the units of the API, and those left out are not sent."""
    when = datetime(2030, 1, 2, tzinfo=UTC)
    backoff = Backoff(kind="constant", base_s=3.0)
    await connect().submit(
        "x",
        None,
        delay=timedelta(minutes=1),
        expires_in=90,
        expires_at=when,
        run_at=when,
        priority="high",
        max_attempts=3,
        timeout=2.5,
        backoff=backoff,
        tags={"a": "b"},
    )
    assert api.received[0].body == {
        "type": "x",
        "payload": None,
        "delay_s": 60.0,
        "expires_in_s": 90,
        "expires_at": "2030-01-02T00:00:00Z",
        "run_at": "2030-01-02T00:00:00Z",
        "priority": "high",
        "max_attempts": 3,
        "timeout_s": 2.5,
        "backoff": msgspec.to_builtins(backoff),
        "tags": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("span", "seconds"), [(timedelta(days=1, milliseconds=500), 86_400.5), (timedelta(microseconds=-1), -1e-6), (7, 7)]
)
@pytest.mark.parametrize(
    ("option", "name"), [("delay", "delay_s"), ("expires_in", "expires_in_s"), ("timeout", "timeout_s")]
)
async def test_submit_sends_spans_in_seconds(
    api: ScriptedApi, option: str, name: str, span: timedelta | float, seconds: float
) -> None:
    """A span of time, given as a number or as a timedelta of any length, goes out in seconds."""
    with SyncClient(api.url) as client:
        client.submit("x", None, **{option: span})
    assert api.received[0].body[name] == seconds


@pytest.mark.parametrize(
    ("callback", "sent"),
    [
        ("https://a.example/", {"url": "https://a.example/"}),
        (Callback("https://a.example/"), {"url": "https://a.example/", "events": [str(event) for event in ENDS]}),
        (Callback("https://a.example/", [JobEvent.DEAD]), {"url": "https://a.example/", "events": ["dead"]}),
    ],
    ids=["url", "all ends", "one event"],
)
async def test_submit_sends_a_callback(
    connect: Connect, api: ScriptedApi, callback: str | Callback, sent: dict[str, Any]
) -> None:
    """A callback is a URL, or a URL with the events that go there."""
    await connect().submit("x", 1, callback=callback)
    assert api.received[0].body["callback"] == sent


async def test_submit_leaves_out_an_option_that_is_none(connect: Connect, api: ScriptedApi) -> None:
    """None is the same as an option that was not given."""
    await connect().submit("x", 1, delay=None, tags=None, priority=None)
    assert api.received[0].body == {"type": "x", "payload": 1}


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        (Invoice(1, datetime(2026, 1, 1, tzinfo=UTC)), {"invoice_id": 1, "due": "2026-01-01T00:00:00Z"}),
        (Order(2), {"order_id": 2}),
        (Line(line_id=3), {"line_id": 3}),
        ([1, "two", None, b"\x00"], [1, "two", None, b"\x00"]),
    ],
)
async def test_submit_encodes_payload_when_of_any_kind(
    connect: Connect, api: ScriptedApi, payload: Any, sent: Any
) -> None:
    """A payload may be a Struct, a dataclass, a TypedDict or plain; its times become RFC 3339 strings."""
    await connect().submit("x", payload)
    assert api.received[0].body["payload"] == sent


def endless() -> list[Any]:
    """Return a list that contains itself."""
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize("payload", [object(), {"n": 2**70}, "\ud83d", endless()])
async def test_submit_raises_type_error_when_payload_has_no_encoding(
    connect: Connect, api: ScriptedApi, payload: Any
) -> None:
    """A payload that msgspec cannot encode is refused before anything is sent."""
    with pytest.raises(TypeError, match="payload of `x` cannot be encoded"):
        await connect().submit("x", payload)
    assert not api.received


async def test_submit_suggests_the_option_when_it_is_misspelt(connect: Connect, api: ScriptedApi) -> None:
    """An unknown option is a TypeError that names the nearest known one."""
    with pytest.raises(TypeError, match="unknown option `prioritty`; did you mean `priority`"):
        await connect().submit("x", None, prioritty="high")
    assert not api.received


async def test_submit_uses_a_new_key_per_call_and_ours_when_given(connect: Connect, api: ScriptedApi) -> None:
    """Each call has a key of its own, unless the caller brings one."""
    client = connect()
    await client.submit("x")
    await client.submit("x")
    await client.submit("x", idempotency_key="order-7")
    keys = [request.headers["idempotency-key"] for request in api.received]
    assert keys[2] == "order-7"
    assert len(set(keys)) == 3


@pytest.mark.parametrize("key", ["", "a\r\nx: y", "é", "k" * (limits.MAX_IDEMPOTENCY_KEY_CHARS + 1)])
async def test_submit_raises_when_key_cannot_be_a_header(connect: Connect, api: ScriptedApi, key: str) -> None:
    """A key that no header can carry is refused before anything is sent."""
    with pytest.raises(ValueError, match="an idempotency key is"):
        await connect().submit("x", idempotency_key=key)
    assert not api.received


async def test_submit_sends_traceparent_when_a_span_is_current(api: ScriptedApi) -> None:
    """A submission sends the traceparent of the current span."""
    ids = trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(ids)))
    try:
        with SyncClient(api.url) as client:
            client.submit("x")
    finally:
        context.detach(token)
    assert api.received[0].headers["traceparent"] == f"00-{0xABC:032x}-{0xDEF:016x}-01"


async def test_submit_raises_invalid_error_when_refused(connect: Connect, api: ScriptedApi) -> None:
    """A refusal raises InvalidError, which has the problem document and names the fields."""
    api.script.append(problem(422, "Unprocessable", errors=[{"pointer": "/payload/to", "detail": "is missing"}]))
    with pytest.raises(InvalidError, match="Unprocessable: /payload/to is missing") as caught:
        await connect().submit("x")
    assert caught.value.problem.status == 422
    assert len(api.received) == 1


async def test_submit_many_sends_one_request_when_jobs_fit(connect: Connect, api: ScriptedApi) -> None:
    """Payloads of one type share their options and are sent in one request."""
    api.script.append(accept_batch)
    receipt = await connect().submit_many("x", [1, 2], priority="low")
    assert api.received[0].path == "/v1/jobs/batch"
    assert api.received[0].body == {
        "jobs": [{"type": "x", "payload": n, "priority": "low"} for n in (1, 2)],
    }
    assert (receipt.accepted, [item.index for item in receipt.items]) == (2, [0, 1])


async def test_submit_many_takes_jobs_of_several_types(connect: Connect, api: ScriptedApi) -> None:
    """Each NewJob has its own type and options."""
    api.script.append(accept_batch)
    await connect().submit_many([NewJob("x", 1, delay=2), NewJob("y")])
    assert api.received[0].body["jobs"] == [
        {"type": "x", "payload": 1, "delay_s": 2},
        {"type": "y", "payload": None},
    ]


async def test_submit_many_sends_nothing_when_empty(connect: Connect, api: ScriptedApi) -> None:
    """No jobs make an empty receipt and no request."""
    receipt = await connect().submit_many([])
    assert (receipt.accepted, receipt.rejected, receipt.items) == (0, 0, [])
    assert not api.received


@pytest.fixture
def two_jobs_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a request of several jobs hold two of them."""
    monkeypatch.setattr(limits, "MAX_BATCH_JOBS", 2)


async def test_submit_many_splits_when_over_the_batch_limit(connect: Connect, api: ScriptedApi) -> None:
    """More than 10,000 jobs are sent in several requests, and the receipt numbers the jobs consecutively."""
    api.script.extend([accept_batch, accept_batch])
    receipt = await connect().submit_many("x", range(10_001), idempotency_key="k")
    assert [len(request.body["jobs"]) for request in api.received] == [10_000, 1]
    assert [request.headers["idempotency-key"] for request in api.received] == ["k", "k.1"]
    assert [item.index for item in receipt.items] == list(range(10_001))


@pytest.mark.usefixtures("two_jobs_a_request")
async def test_submit_many_has_one_key_for_each_request_and_keeps_it(connect: Connect, api: ScriptedApi) -> None:
    """The requests of one call share a fresh key, numbered from the second on, and repetitions keep it."""
    full = problem(503, "Full", headers={"Retry-After": "0"})
    api.script.extend([accept_batch, full, accept_batch, accept_batch])
    client = connect()
    await client.submit_many("x", range(5))
    first, *others = (request.headers["idempotency-key"] for request in api.received)
    assert others == [f"{first}.1", f"{first}.1", f"{first}.2"]
    api.script.append(accept_batch)
    await client.submit_many("x", range(2))
    assert api.received[-1].headers["idempotency-key"] not in {first, "k"}


@pytest.mark.usefixtures("two_jobs_a_request")
@pytest.mark.parametrize("status", [422, 429])
async def test_submit_many_keeps_what_was_stored_when_a_later_request_is_refused(
    connect: Connect, api: ScriptedApi, status: int
) -> None:
    """A refusal after the first request becomes the problem of its jobs, and the rest is sent."""
    api.script.extend([accept_batch, problem(status, "No", headers={"Retry-After": "3600"}), accept_batch])
    receipt = await connect().submit_many("x", range(5))
    assert (receipt.accepted, receipt.rejected) == (3, 2)
    assert [item.index for item in receipt.items] == list(range(5))
    assert [item.status for item in receipt.items] == [202, 202, status, status, 202]
    assert [item.id for item in receipt.items] == ["x_0", "x_1", None, None, "x_0"]


async def test_submit_many_counts_the_jobs_that_were_refused(connect: Connect, api: ScriptedApi) -> None:
    """The receipt counts accepted and refused jobs by itself, whatever the service counts."""
    refused = {"type": "about:blank", "title": "No", "status": 422}
    items = [{"index": 0, "status": 202, "id": "x_0"}, {"index": 1, "status": 422, "problem": refused}]
    api.script.append(Reply(207, {"accepted": 1, "rejected": 1, "items": items}))
    receipt = await connect().submit_many("x", range(2))
    assert (receipt.accepted, receipt.rejected) == (1, 1)


async def test_submit_many_raises_when_the_first_request_is_refused(connect: Connect, api: ScriptedApi) -> None:
    """A refusal of the first request is raised, because nothing was stored."""
    api.script.append(problem(503, "Full", headers={"Retry-After": "3600"}))
    with pytest.raises(UnavailableError, match="Full"):
        await connect().submit_many("x", range(3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.submit_many("x"), "payloads are missing"),
        (lambda client: client.submit_many([NewJob("x")], [1]), "takes no payloads"),
        (lambda client: client.submit_many([NewJob("x")], delay=1), "no options"),
    ],
)
async def test_submit_many_raises_type_error_when_forms_are_mixed(
    connect: Connect, api: ScriptedApi, call: Callable[[Any], Any], message: str
) -> None:
    """A mix of both forms of arguments raises TypeError, which says what is missing or too much."""
    with pytest.raises(TypeError, match=message):
        await call(connect())
    assert not api.received


FOUND = {"id": "invoice.send_01", "type": "invoice.send", "state": "queued", "priority": "normal", "version": 1}
FOUND |= {"created_at": "2026-03-27T03:04:05Z", "attempts": 0, "deliveries": 0, "crashes": 0}


async def test_a_handle_says_whether_another_job_was_returned(connect: Connect, api: ScriptedApi) -> None:
    """The header of the response tells a stored job from one that holds its unique key."""
    async with connect(api.url) as client:
        for headers, expected in (({"Unique-Conflict": "true"}, True), ({}, False)):
            api.script.append(Reply(200, FOUND, headers=headers))
            assert (await client.submit("invoice.send", {}, unique="7")).unique_conflict is expected
