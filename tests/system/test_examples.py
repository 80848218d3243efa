"""The examples run: each file of `examples/` that has a page does what its page says."""

import importlib.util
import sys
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import pytest
from msgspec import to_builtins
from system.running import EXAMPLES_FOLDER, System, environment

from millstream import Client, SyncClient

DOES: dict[str, Any] = {
    "batch_handlers": ["4 words", "7 words", "dead: nothing to index", "indexed by calls of up to 50 jobs"],
    "batches": [
        "report of new-books: 3 succeeded",
        "inventory of inventory: 1 dead and 7 succeeded",
        1,
    ],
    "children": [
        {"payment": "paid order 7", "parcels": 2},
        6,
        ["item.pack", "item.pack"],
        "refused: /type",
    ],
    "dependencies": [
        "index of summer",
        "index of winter",
        "cancelled: parent_dead",
        "album.tell comes after album.index",
    ],
    "durable": [
        "a box with Emma for 12",
        "a box with an encyclopedia",
        "a box with Ulysses, in stock",
        "a box with Persuasion, in stock",
        "a box with Evelina, in stock",
        "a box with a card, in stock",
    ],
    "first_handler": {"order_id": 7, "amount": 19.9},
    "idempotency": [1990, True, [True, False]],
    "payloads_and_results": ["card 1234", "due in 14 days", "a.txt", "b.txt", "Hello Ann, who is 40"],
    "retries": [
        "sent to Oslo at attempt 2",
        "dead after 1: dead_on retries.NoSuchCityError",
        "dead after 2: the other service is too slow",
        "dead after 1: declined with 51",
        "dead after 1: attempts",
    ],
    "schedules": ["Sunday 21:30 in UTC", "report of Asia"],
    "progress_and_logs": (50_000, "all 50,000 rows"),
    "shared_state": ["tea of db://shop", "tea: open", "audit of tea of db://shop"],
    "threads_and_processes": ["7 on the loop", "7 in a thread", [127, 9721]],
    "timeouts_and_cancellation": [
        "dead: the attempt took longer than 0.5 s",
        "cancelled: cancelled",
        "how long? 25 s at most",
    ],
    "workflows": [
        {"title": "summer", "page": "3 of 3 images"},
        "stalled: ['resize']",
        {"title": "winter", "page": "2 of 3 images"},
        "told of 2 of 2 images",
    ],
}
"""What the program of each example returns."""


def example(name: str) -> ModuleType:
    """Import an example."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES_FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", DOES)
async def test_an_example_does_what_its_page_says(client: Client, name: str) -> None:
    """The program of an example gets from its handlers what its page promises."""
    assert to_builtins(await example(name).main(client)) == DOES[name]


async def test_many_orders_are_charged_in_one_call(client: Client) -> None:
    """The ids that the example makes of a receipt are those of jobs that succeed."""
    module = example("first_handler")
    first, last = await module.charge_all(client, [module.Order(8, "ann", 1.5), module.Order(9, "bob", 2.5)])
    assert [(await client.result(module.charge, job_id)).amount for job_id in (first, last)] == [1.5, 2.5]


async def test_contracts_of_another_code_base_lead_to_the_handlers(system: System) -> None:
    """A program that has only the contracts submits jobs, and gets results of the types that it declares."""
    with SyncClient(system.url) as client:
        assert await anyio.to_thread.run_sync(example("elsewhere").main, client) == [2.5, 2.5, 2.5]


async def test_a_notebook_runs_from_its_first_cell_to_its_last(system: System) -> None:
    """The cells run one after the other, in a process without an event loop of its own."""
    done = await anyio.run_process(
        [sys.executable, str(EXAMPLES_FOLDER / "notebook.py")], env=environment(MILLSTREAM_URL=system.url)
    )
    assert done.stdout.decode().splitlines() == ["Receipt(order_id=7, amount=19.9)", "75.0"]
