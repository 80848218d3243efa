"""A shop whose jobs are in the pictures of docs/console.md: some are quick, some wait, and some die of one release."""

import random

import anyio
import msgspec

from millstream import App, Retry

app = App("shop")

dice = random.Random(7)


class SMTPServerDisconnectedError(Exception):
    """The mail server has hung up."""


class Mail(msgspec.Struct):
    """A mail to a customer."""

    invoice_id: int
    to: str
    locale: str = "de-AT"


@app.job("email.send", retry=Retry(max_attempts=3, delays=[0.2, 0.4]), timeout=30)
async def send_mail(mail: Mail) -> str:
    """Send a mail; the relay hangs up on those to one customer."""
    await anyio.sleep(dice.uniform(0.02, 0.2))
    if mail.to.startswith("acme"):
        raise SMTPServerDisconnectedError("Connection unexpectedly closed: the read operation timed out")
    return f"250 queued as {mail.invoice_id:x}"


@app.job("invoice.render", timeout=60)
async def render_invoice(invoice_id: int) -> dict[str, int]:
    """Render an invoice."""
    await anyio.sleep(dice.uniform(0.01, 0.3))
    return {"invoice_id": invoice_id, "bytes": 18_204}


@app.job("image.resize", retry=Retry(max_attempts=2, delays=[0.1]))
async def resize(picture: dict[str, int]) -> dict[str, int]:
    """Resize a picture; a few have no size."""
    await anyio.sleep(dice.uniform(0.05, 0.4))
    return {"width": 320, "height": 320 * picture["height"] // picture["width"]}


@app.job("report.close-of-day", timeout=3600)
async def close_of_day(day: str) -> None:
    """Add up a day, for as long as the pictures are taken."""
    await anyio.sleep(600)
