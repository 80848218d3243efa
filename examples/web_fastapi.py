"""An API with FastAPI whose requests submit jobs: docs/handlers/web-frameworks.md.

Run the system with `millstream up first_handler:app` in this folder, and then `fastapi dev web_fastapi.py`.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from fastapi import Depends, FastAPI, HTTPException, Request
from first_handler import Order, charge
from pydantic import BaseModel

from millstream import Client, JobNotFoundError, UnavailableError, WaitTimeoutError

URL = os.environ.get("MILLSTREAM_URL", "http://127.0.0.1:8080")


class Shared(TypedDict):
    """What requests share."""

    client: Client


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncGenerator[Shared]:
    """Open one client for all requests."""
    async with Client(URL, retry_for_s=2) as client:
        yield {"client": client}


api = FastAPI(lifespan=lifespan)


def shared_client(request: Request) -> Client:
    """Return the client of the lifespan."""
    client: Client = request.state.client
    return client


Jobs = Annotated[Client, Depends(shared_client)]


class NewOrder(BaseModel):
    """An order as requests have it."""

    id: int
    customer: str
    total: float


@api.post("/orders", status_code=202)
async def place(order: NewOrder, client: Jobs) -> dict[str, str]:
    """Take an order. The job goes on when the response has been sent."""
    try:
        job = await client.submit(charge, Order(**order.model_dump()), idempotency_key=f"order-{order.id}")
    except UnavailableError:
        raise HTTPException(503, "orders cannot be taken now") from None
    return {"job": job.id}


@api.get("/orders/{job_id}")
async def look(job_id: str, client: Jobs) -> dict[str, float] | None:
    """Return the receipt, and null while there is none after ten seconds."""
    try:
        receipt = await client.result(charge, job_id, timeout=10)
    except WaitTimeoutError:
        return None
    except JobNotFoundError:
        raise HTTPException(404, "no such order") from None
    return {"order_id": receipt.order_id, "amount": receipt.amount}
