"""The examples for web frameworks run: where a framework is installed, which only Litestar always is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from system.running import EXAMPLES_FOLDER, System

from millstream import InvalidError, SyncClient

Answer = tuple[int, Any]
Ask = Callable[..., Answer]
"""Takes a path, and the JSON to be posted to it. Returns: the status and the JSON of the response."""


@contextmanager
def by_litestar(example: ModuleType) -> Iterator[Ask]:
    """Run the API in Litestar's own client."""
    from litestar.testing import TestClient

    with TestClient(example.api) as http:
        yield lambda path, **body: _of(http.post(path, **body) if body else http.get(path))


@contextmanager
def by_fastapi(example: ModuleType) -> Iterator[Ask]:
    """Run the API in FastAPI's own client."""
    from fastapi.testclient import TestClient

    with TestClient(example.api) as http:
        yield lambda path, **body: _of(http.post(path, **body) if body else http.get(path))


@contextmanager
def by_flask(example: ModuleType) -> Iterator[Ask]:
    """Run the API in Flask's own client."""
    with example.client, example.api.test_client() as http:

        def ask(path: str, **body: Any) -> Answer:
            response = http.post(path, **body) if body else http.get(path)
            return response.status_code, response.get_json(silent=True)

        yield ask


@contextmanager
def by_django(example: ModuleType) -> Iterator[Ask]:
    """Run the API in Django's own client."""
    from django.test import Client

    http = Client()
    with example.client:
        yield lambda path, **body: _of(
            http.post(path, body["json"], content_type="application/json") if body else http.get(path)
        )


def _job_of_the_order(system: System, order: dict[str, Any]) -> str:
    """Return the job that was submitted for an order, by the key that it was submitted with."""
    key = f"order-{order['id']}"
    with SyncClient(system.url) as client:
        with pytest.raises(InvalidError, match=r"(?i)idempotency"):
            client.submit("order.charge", {**order, "total": 0.5}, idempotency_key=key)
        return client.submit("order.charge", order, idempotency_key=key).id


def _of(response: Any) -> Answer:
    return response.status_code, response.json()


FRAMEWORKS: dict[str, Callable[[ModuleType], AbstractContextManager[Ask]]] = {
    "litestar": by_litestar,
    "fastapi": by_fastapi,
    "flask": by_flask,
    "django": by_django,
}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_api_takes_an_order_and_returns_its_receipt(
    system: System, monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    """A request submits a job once, however often it is sent, and another one returns its typed result."""
    pytest.importorskip(framework)
    monkeypatch.setenv("MILLSTREAM_URL", system.url)
    monkeypatch.setattr(sys, "path", [*sys.path, str(EXAMPLES_FOLDER)])
    order = {"id": 100 + list(FRAMEWORKS).index(framework), "customer": "ann", "total": 19.9}
    try:
        with FRAMEWORKS[framework](import_module(f"web_{framework}")) as ask:
            status, placed = ask("/orders", json=order)
            assert (status, ask("/orders", json=order)) == (202, (202, placed))
            job_id = placed.get("job")
            if job_id is None:  # Django submits after its transaction, and so knows no id yet
                job_id = _job_of_the_order(system, order)
            assert ask(f"/orders/{job_id}") == (200, {"order_id": order["id"], "amount": 19.9})
            assert ask("/orders", json={"id": "seven"})[0] in {400, 422}
            assert ask("/orders/order.charge_00" + "0" * 26)[0] == 404
    finally:
        for name in (f"web_{framework}", "first_handler"):
            sys.modules.pop(name, None)
