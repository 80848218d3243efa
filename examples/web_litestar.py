"""An API with Litestar whose requests submit jobs: docs/handlers/web-frameworks.md.

Run the system with `millstream up first_handler:app` in this folder, and then `litestar --app web_litestar:api run`.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from first_handler import Order, Receipt, charge
from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody

from millstream import Client, JobNotFoundError, UnavailableError, WaitTimeoutError

URL = os.environ.get("MILLSTREAM_URL", "http://127.0.0.1:8080")


@asynccontextmanager
async def lifespan(api: Litestar) -> AsyncGenerator[None]:
    """Open one client for all requests."""
    async with Client(URL, retry_for_s=2) as client:
        api.state.client = client
        yield


@post("/orders", status_code=202)
async def place(data: JSONBody[Order], state: State) -> dict[str, str]:
    """Take an order. The job goes on when the response has been sent."""
    client: Client = state.client
    try:
        job = await client.submit(charge, data, idempotency_key=f"order-{data.id}")
    except UnavailableError:
        raise HTTPException("orders cannot be taken now", status_code=503) from None
    return {"job": job.id}


@get("/orders/{job_id:str}")
async def look(job_id: FromPath[str], state: State) -> Receipt | None:
    """Return the receipt, and null while there is none after ten seconds."""
    client: Client = state.client
    try:
        return await client.result(charge, job_id, timeout=10)
    except WaitTimeoutError:
        return None
    except JobNotFoundError:
        raise HTTPException("no such order", status_code=404) from None


api = Litestar([place, look], lifespan=[lifespan])
