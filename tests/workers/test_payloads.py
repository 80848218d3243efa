"""Payloads travel from an HTTP request through JSON or MessagePack to the handler of a worker."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from ingest.serving import MSGPACK, Ingest, packed, patient, pointers, problem, running_ingest
from workers.deliveries import Delivery, app
from workers.floor import Floor
from workers.plant import python_path

from millstream_contracts import DEFAULT_TENANT
from millstream_ingest.settings import IngestSettings

KEY = "12345678-1234-5678-1234-567812345678"


@pytest.fixture
async def ingest(
    redis_url: str, namespace: str, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Ingest]:
    """Yield an ingest beside a worker that has registered its types."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(app, apps=("workers.deliveries:app",))
    settings = patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0))
    async with running_ingest(settings) as running:
        assert await floor.broker.registry.types(DEFAULT_TENANT)
        yield running


ACCEPTED: list[tuple[dict[str, Any], Delivery]] = [
    ({"file": "aGk="}, Delivery(file=b"hi")),
    ({"file": ""}, Delivery(file=b"")),
    ({"at": "2026-11-26t10:00:00.5z"}, Delivery(at=dt.datetime(2026, 11, 26, 10, 0, 0, 500_000, dt.UTC))),
    ({"any_time": "2026-11-26 10:00:00"}, Delivery(any_time=dt.datetime(2026, 11, 26, 10))),  # noqa: DTZ001
    ({"day": "2024-02-29"}, Delivery(day=dt.date(2024, 2, 29))),
    ({"time": "10:00:00"}, Delivery(time=dt.time(10))),
    ({"wait": "-P1DT0.5S"}, Delivery(wait=-dt.timedelta(1, 0.5))),
    ({"key": KEY}, Delivery(key=uuid.UUID(KEY))),
    ({"price": "12345678901234567890.10"}, Delivery(price=Decimal("12345678901234567890.10"))),
    ({"price": 1.5}, Delivery(price=Decimal("1.5"))),
    ({"copies": 1e3}, Delivery(copies=1000)),
    ({"copies": -0.0}, Delivery(copies=0)),
    ({"code": "042"}, Delivery(code="042")),
    ({"sizes": {"-7": 3.0}}, Delivery(sizes={-7: 3})),
]

REFUSED: list[dict[str, Any]] = [
    {"file": "aGk"},
    {"file": "MTIzNDU="},
    {"at": "tomorrow"},
    {"at": "2026-11-26T10:00:00"},
    {"at": "2026-06-30T23:59:60Z"},
    {"any_time": "2026-11-26T24:00:00Z"},
    {"day": "2026-02-29"},
    {"time": "25:00:00"},
    {"wait": "P1M"},
    {"key": "none"},
    {"price": "a lot"},
    {"price": "NaN"},
    {"copies": 1.5},
    {"code": "042\n"},
    {"code": "\u0664\u0662"},
    {"sizes": {"7.0": 3}},
    {"sizes": {"7": 4}},
]


@pytest.mark.parametrize("content_type", ["application/json", MSGPACK])
async def test_accepted_payloads_reach_the_handler(ingest: Ingest, floor: Floor, content_type: str) -> None:
    """Each value arrives as the type that the handler declares, whatever the encoding of the request."""
    for payload, wanted in ACCEPTED:
        document = {"type": "delivery.send", "payload": payload}
        body = packed(document) if content_type == MSGPACK else msgspec.json.encode(document)
        headers = {"content-type": content_type, "accept": "application/json", "prefer": "wait=30"}
        response = await ingest.http.post("/v1/jobs", content=body, headers=headers)
        assert response.status_code == 200, (payload, response.text)
        assert response.json()["result"] == repr(wanted)


@pytest.mark.parametrize("content_type", ["application/json", MSGPACK])
async def test_payloads_that_no_worker_could_read_are_refused(ingest: Ingest, content_type: str) -> None:
    """A payload that no worker could read is answered with 422 and its place, and no job is stored."""
    for payload in REFUSED:
        document = {"type": "delivery.send", "payload": payload}
        body = packed(document) if content_type == MSGPACK else msgspec.json.encode(document)
        response = await ingest.http.post("/v1/jobs", content=body, headers={"content-type": content_type})
        (place,) = pointers(problem(response, 422, "invalid-request"))
        assert place.startswith(f"/payload/{next(iter(payload))}"), payload
    assert (await ingest.get("/v1/jobs"))["items"] == []


async def test_binary_data_reaches_the_handler_and_is_shown_as_base64(ingest: Ingest) -> None:
    """Bytes in MessagePack reach the handler as they are, and a reader of the job in JSON gets their base64."""
    body = packed({"type": "delivery.send", "payload": {"file": b"\0\xff"}})
    headers = {"content-type": MSGPACK, "accept": "application/json", "prefer": "wait=30"}
    response = await ingest.http.post("/v1/jobs", content=body, headers=headers)
    job = response.json()
    assert job["result"] == repr(Delivery(file=b"\0\xff"))
    assert (await ingest.get(f"/v1/jobs/{job['id']}"))["payload"] == {"file": "AP8="}


async def test_a_handler_in_a_process_of_its_own_reads_the_same(ingest: Ingest) -> None:
    """A handler in a process of its own reads the same payload as one on the loop."""
    payload, headers = {"file": "aGk=", "copies": 2.0}, {"prefer": "wait=30"}
    job = await ingest.submit("delivery.apart", payload, headers=headers)
    assert job["result"] == repr(Delivery(file=b"hi", copies=2))
