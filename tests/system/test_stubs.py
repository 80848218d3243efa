"""`millstream stubs` writes contracts by which another code base submits jobs, and reads their results."""

import importlib.util
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest
from cli.commands import refused, run
from system.running import System

from millstream import Client
from millstream_cli.exit_codes import ExitCode


@pytest.fixture
def jobs(system: System, tmp_path: Path) -> ModuleType:
    """Write the contracts of the running system's types, and import them."""
    result = run("stubs", "--url", system.url)
    assert result.exit_code == 0, result.output
    path = tmp_path / "jobs_of_system.py"
    path.write_text(result.stdout)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


async def test_written_contracts_lead_to_the_handlers(client: Client, jobs: ModuleType) -> None:
    """Jobs of written contracts are run by the handlers, with results of the written classes."""
    order = jobs.Order(id=7, customer="ann", total=2.5)
    receipt = await (await client.submit(jobs.order_charge, order)).result()
    assert receipt == jobs.Receipt(order_id=7, amount=2.5)
    by_card = jobs.Payment(amount=Decimal("19.90"), by=jobs.Card(number="1234"))
    later = jobs.Payment(amount=Decimal(5), by=jobs.OnInvoice(due_in=timedelta(days=14)))
    told = [(await (await client.submit(jobs.payment_take, one)).result()).how for one in (by_card, later)]
    assert told == ["card 1234", "due in 14 days"]
    page = await (await client.submit(jobs.files_list, Path("/srv"))).result()
    assert page.items == [Path("/srv/a.txt"), Path("/srv/b.txt")]
    greeting = await (await client.submit(jobs.customer_greet, jobs.Customer(name="Ann", age=40))).result()
    assert greeting.to == jobs.Customer(name="Ann", age=40)


def test_contracts_of_some_types_are_written_by_pattern(system: System) -> None:
    """Patterns choose the types, and one that fits none is refused by its name."""
    result = run("stubs", "order.*", "--url", system.url)
    assert "def order_charge(" in result.stdout
    assert "payment_take" not in result.stdout
    refused(run("stubs", "order.chrage", "--url", system.url), "`order.chrage`", "order.charge", code=ExitCode.REFUSED)
