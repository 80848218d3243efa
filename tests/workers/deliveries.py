"""Handlers that return the payload that they received."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from millstream import App

app = App("payloads")


class Delivery(Struct, forbid_unknown_fields=True):
    """A payload with one field of each kind that encoders treat in their own way."""

    file: Annotated[bytes, Meta(max_length=4)] = b""
    at: Annotated[dt.datetime, Meta(tz=True)] | None = None
    any_time: dt.datetime | None = None
    day: dt.date | None = None
    time: dt.time | None = None
    wait: dt.timedelta = dt.timedelta()
    key: uuid.UUID | None = None
    price: Decimal = Decimal(0)
    copies: int = 1
    code: Annotated[str, Meta(pattern=r"^\d+$")] = "0"
    sizes: dict[int, Annotated[int, Meta(multiple_of=3)]] = {}


@app.job("delivery.send")
async def send(payload: Delivery) -> str:
    """Return the payload as the handler received it."""
    return repr(payload)


@app.job("delivery.apart", isolation="process")
def send_apart(payload: Delivery) -> str:
    """Return the payload as a handler in a process of its own received it."""
    return repr(payload)


@app.job("delivery.echo", isolation="process")
def echo(payload: dict[str, str]) -> dict[str, str]:
    """Return the payload from a process of its own."""
    return payload
