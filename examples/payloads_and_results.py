"""Types that cross between clients and handlers: docs/handlers/payloads-and-results.md.

Run the system with `millstream up payloads_and_results:app` in this folder, and then `python payloads_and_results.py`.
It needs the extra `pydantic`.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct
from pydantic import BaseModel, Field

from millstream import App, Client

app = App("shop")


# A union by tag: each member says in its `type` which one it is.


class Card(Struct, tag="card"):
    """Pay by card."""

    number: Annotated[str, Meta(pattern=r"^[0-9]{4}$")]


class OnInvoice(Struct, tag="invoice"):
    """Pay later."""

    due_in: timedelta


class Payment(Struct):
    """What `payment.take` takes."""

    amount: Decimal
    by: Card | OnInvoice
    at: Annotated[datetime, Meta(tz=True)] | None = None


@dataclass
class Booked:
    """What `payment.take` gives. A dataclass does as well as a Struct."""

    amount: Decimal
    how: str


@app.job("payment.take")
async def take(payment: Payment) -> Booked:
    """Book a payment."""
    match payment.by:
        case Card(number):
            return Booked(payment.amount, f"card {number}")
        case OnInvoice(due_in):
            return Booked(payment.amount, f"due in {due_in.days} days")


# A generic type, and paths.

T = TypeVar("T")


class Page(Struct, Generic[T]):
    """A part of a list."""

    items: list[T]
    more: bool = False


@app.job("files.list")
def list_files(folder: Path) -> Page[Path]:
    """Name the files of a folder."""
    return Page([folder / name for name in ("a.txt", "b.txt")])


# A model of pydantic, which validates itself.


class Customer(BaseModel):
    """What `customer.greet` takes."""

    name: str = Field(min_length=2)
    age: int = Field(ge=18)


class Greeting(BaseModel):
    """What `customer.greet` gives."""

    text: str
    to: Customer


@app.job("customer.greet")
async def greet(customer: Customer) -> Greeting:
    """Greet a customer."""
    return Greeting(text=f"Hello {customer.name}", to=customer)


async def main(client: Client) -> list[str]:
    """Submit a job of each kind, and read what it gives."""
    paid = await client.submit(take, Payment(Decimal("19.90"), Card("1234")))
    later = await client.submit(take, Payment(Decimal(5), OnInvoice(timedelta(days=14))))
    listed = await client.submit(list_files, Path("/srv"))
    greeted = await client.submit(greet, Customer(name="Ann", age=40))
    page = await listed.result()
    greeting = await greeted.result()
    told = [
        (await paid.result()).how,
        (await later.result()).how,
        *(path.name for path in page.items),
        f"{greeting.text}, who is {greeting.to.age}",
    ]
    print("\n".join(told))
    return told


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
