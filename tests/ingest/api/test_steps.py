"""Durable handlers over HTTP: signals are kept, taken once and bounded, and steps are shown without what they gave."""

from typing import Any

import msgspec
import pytest
from ingest.serving import MSGPACK, Ingest
from streams.seeds import ERROR, FAR_MS, commit, seed_dead, seed_running

from millstream_contracts import Dead, Queue, Waiting, limits
from millstream_streams import Broker, Delivery

MSGPACK_ONLY_IN = {"content-type": MSGPACK, "accept": "application/json"}


@pytest.fixture
async def held(broker: Broker, queue: Queue) -> Delivery:
    """Return a delivery whose handler runs."""
    return await seed_running(broker, queue)


async def signal(ingest: Ingest, job_id: str, name: str = "approved", status: int = 202, **options: Any) -> Any:
    """Send a signal; return the answer."""
    response = await ingest.http.post(f"/v1/jobs/{job_id}/signals/{name}", **options)
    assert response.status_code == status, response.text
    return response.json()


async def test_a_signal_reaches_the_job_that_waits_for_it(
    ingest: Ingest, broker: Broker, queue: Queue, held: Delivery
) -> None:
    """A job that waits is shown with the signal, and is queued when that has come."""
    await broker.steps.await_step(held, "approved", "approved", f"+{FAR_MS}")
    await commit(broker, held, Waiting("approved", FAR_MS))
    job = await ingest.get(f"/v1/jobs/{held.id}")
    assert (job["state"], job["waiting_for"]) == ("scheduled", "approved")
    answer = await signal(ingest, held.id, json={"by": "ann"})
    assert answer == {"id": held.id, "name": "approved", "outcome": "delivered"}
    job = await ingest.get(f"/v1/jobs/{held.id}")
    assert (job["state"], job["waiting_for"]) == ("queued", None)


@pytest.mark.parametrize(
    ("options", "carried"),
    [
        ({"json": {"by": "ann"}}, {"by": "ann"}),
        ({"json": None}, None),
        ({"content": msgspec.msgpack.encode([1, b"x"]), "headers": MSGPACK_ONLY_IN}, [1, b"x"]),
        ({"content": "7", "headers": {"content-type": "application/json"}}, 7),
        ({}, None),
    ],
    ids=["object", "null", "msgpack", "number", "nothing"],
)
async def test_a_signal_carries_any_value(
    ingest: Ingest, broker: Broker, held: Delivery, options: dict[str, Any], carried: Any
) -> None:
    """The body of a signal is what its handler gets, in either encoding; without a body it is null."""
    assert (await signal(ingest, held.id, **options))["outcome"] == "kept"
    taken = await broker.steps.await_step(held, "approved", "approved", "")
    assert taken.step is not None
    assert msgspec.msgpack.decode(taken.step.content) == carried


async def test_a_signal_is_one_by_its_key(ingest: Ingest, held: Delivery) -> None:
    """A repetition with its key sends nothing more and says so; another signal with the key is refused."""
    key = {"idempotency-key": "a-key"}
    assert (await signal(ingest, held.id, json=1, headers=key))["outcome"] == "kept"
    again = await ingest.http.post(f"/v1/jobs/{held.id}/signals/approved", json=1, headers=key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    for name, carried in (("approved", 2), ("other", 1)):
        refused = await signal(ingest, held.id, name, status=422, json=carried, headers=key)
        assert refused["type"] == "/problems/idempotency-key-reused"
    assert (await ingest.get(f"/v1/jobs/{held.id}/steps"))["kept_signals"] == ["approved"]


async def test_a_job_that_has_ended_takes_no_signal(
    ingest: Ingest, broker: Broker, queue: Queue, held: Delivery
) -> None:
    """A signal to an ended job is 409, to an unknown one 404, and a dead one keeps it."""
    await commit(broker, held)
    assert (await signal(ingest, held.id, status=409))["type"] == "/problems/wrong-state"
    assert (await signal(ingest, f"{queue.type}_00none", status=404))["type"] == "/problems/job-not-found"
    assert (await signal(ingest, "nothing", status=404))["type"] == "/problems/job-not-found"
    dead = await seed_dead(broker, queue)
    assert (await signal(ingest, dead))["outcome"] == "kept"


async def test_signals_are_bounded(ingest: Ingest, held: Delivery) -> None:
    """What is larger than a signal may be, or names none, is refused."""
    large = await signal(ingest, held.id, status=413, json="x" * limits.MAX_SIGNAL_BYTES)
    assert large["type"] == "/problems/too-large"
    assert (await signal(ingest, held.id, "No", status=422, json=1))["type"] == "/problems/invalid-request"
    garbled = {"content": "{", "headers": {"content-type": "application/json"}}
    assert (await signal(ingest, held.id, status=400, **garbled))["type"] == "/problems/malformed-body"
    assert (await signal(ingest, held.id, status=415, content="x"))["type"] == "/problems/unsupported-media-type"
    for _ in range(limits.MAX_KEPT_SIGNALS):
        await signal(ingest, held.id, json=1)
    assert (await signal(ingest, held.id, status=409, json=1))["type"] == "/problems/wrong-state"


async def test_steps_are_shown_without_what_they_gave(ingest: Ingest, broker: Broker, held: Delivery) -> None:
    """A job shows the names and sizes of its steps, and until when it waits."""
    content = msgspec.msgpack.encode("secret")
    await broker.steps.save_step(held, "charge", "2", "step", content)
    await broker.steps.await_step(held, "approved", "approved", f"+{FAR_MS}")
    found = await ingest.get(f"/v1/jobs/{held.id}/steps")
    first, second = found["steps"]
    assert {**first, "saved_at": ""} == {
        "name": "charge",
        "kind": "step",
        "saved_at": "",
        "version": "2",
        "size_bytes": len(content),
        "until": None,
    }
    assert (second["name"], second["kind"], second["until"] > second["saved_at"]) == ("approved", "wait", True)
    assert "secret" not in str(found)


async def test_a_fresh_retry_forgets_the_steps(ingest: Ingest, broker: Broker, queue: Queue, held: Delivery) -> None:
    """A retried job goes on behind its steps; with `fresh` it begins anew."""
    await broker.steps.save_step(held, "charge", "", "step", b"\xc0")
    await commit(broker, held, Dead("attempts", ERROR))
    await ingest.http.post(f"/v1/jobs/{held.id}/retry")
    assert len((await ingest.get(f"/v1/jobs/{held.id}/steps"))["steps"]) == 1
    (again,) = (await broker.store.claim(queue, consumer="w1", nonce="again", limit=1)).deliveries
    await commit(broker, again, Dead("attempts", ERROR))
    response = await ingest.http.post(f"/v1/jobs/{held.id}/retry", params={"fresh": "1"})
    assert response.status_code == 202
    assert (await ingest.get(f"/v1/jobs/{held.id}/steps"))["steps"] == []
