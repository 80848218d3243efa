"""A small shop: three handlers, one of each kind. Run it with `millstream up shop:app` in this folder."""

import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import msgspec

from millstream import App, Context, Dead, Retry, Snooze, SyncContext


@asynccontextmanager
async def lifespan() -> AsyncGenerator[httpx2.AsyncClient]:
    """Open what the handlers share: one HTTP client per worker process."""
    async with httpx2.AsyncClient(timeout=10) as client:
        yield client


app = App("shop", lifespan=lifespan)


class Invoice(msgspec.Struct, frozen=True):
    """What `invoice.send` takes."""

    invoice_id: int
    email: str
    not_before_hour: int = 0


@app.job("invoice.send", timeout=30, retry=Retry(max_attempts=5, backoff="exponential", cap=600))
async def send_invoice(payload: Invoice, ctx: Context[httpx2.AsyncClient]) -> str:
    """Send an invoice, in office hours."""
    if time.localtime().tm_hour < payload.not_before_hour:
        raise Snooze(60)
    if "@" not in payload.email:
        raise Dead(f"`{payload.email}` is no address")
    await ctx.progress(50, "rendered")
    await archive_invoice.submit(payload)
    return f"invoice {payload.invoice_id} sent to {payload.email}"


@app.job("invoice.archive")
def archive_invoice(payload: Invoice, ctx: SyncContext[httpx2.AsyncClient]) -> int:
    """Keep a copy. A plain function runs in a thread."""
    ctx.log.info("archived", invoice_id=payload.invoice_id)
    return payload.invoice_id


@app.job("password.hash", isolation="process", timeout=20)
def hash_password(payload: str) -> str:
    """Compute for long. A process of its own can be killed, and does not hold up the others."""
    return hashlib.pbkdf2_hmac("sha256", payload.encode(), b"salt", 500_000).hex()
