"""When a failed job runs again: docs/handlers/retries.md.

Run the system with `millstream up retries:app` in this folder, and then `python retries.py`.
"""

import asyncio
from datetime import timedelta

from millstream import App, Client, Context, Dead, DeadJob, Retry, Snooze, Steering

app = App("shop")


class NoSuchCityError(Exception):
    """A mistake in the payload: no repetition mends it."""


class RateLimitedError(Exception):
    """A refusal by another service, which says when to come back."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"come back in {seconds:g} s")
        self.seconds = seconds


@app.job("parcel.send", retry=Retry(delays=[0.1, timedelta(seconds=10), 60], dead_on=(NoSuchCityError,)))
async def send_parcel(city: str, ctx: Context) -> str:
    """Send a parcel: after the first failure soon again, then in ten seconds, then in a minute."""
    if city == "nowhere":
        raise NoSuchCityError(city)
    if ctx.attempt == 1:
        raise ConnectionError("the carrier does not answer")
    return f"sent to {city} at attempt {ctx.attempt}"


# A strategy of your own.


def patiently(error: Exception, attempt: int) -> Steering | None:
    """Wait for as long as the other service asks, at no cost; give up early where that will not help."""
    match error:
        case RateLimitedError():
            return Snooze(error.seconds)
        case TimeoutError() if attempt >= 2:
            return Dead("the other service is too slow")
        case _:
            return None


@app.job("rates.fetch", retry=Retry(max_attempts=8, base=0.1, cap=timedelta(minutes=5), decide=patiently))
async def fetch_rates(day: str, ctx: Context) -> str:
    """Ask another service."""
    if ctx.fence == 1:
        raise RateLimitedError(0.1)
    if ctx.fence < 4:
        raise TimeoutError
    return day


# An outcome request with data of its own.


class CardDeclined(Dead):
    """The bank declines a card."""

    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code


@app.job("card.charge")
async def charge(card: str) -> None:
    """Charge a card that the bank declines."""
    raise CardDeclined(51 if card == "4242" else 14)


# What is to be done about dead letters.


@app.job("order.refund")
async def refund(letter: DeadJob) -> str:
    """Take back what a job has begun that died."""
    return f"refunded {letter.payload} because of {letter.reason}"


@app.job("order.pay", retry=Retry(max_attempts=1), on_dead=refund)
async def pay(order: int) -> None:
    """Fail."""
    raise ConnectionError(f"order {order} cannot be paid")


async def main(client: Client) -> list[str]:
    """Submit jobs that fail in each of these ways."""
    sent = await client.submit(send_parcel, "Oslo")
    told = [await sent.result(timeout=30)]
    for job in (
        await client.submit(send_parcel, "nowhere"),
        await client.submit(fetch_rates, "2026-11-26"),
        await client.submit(charge, "4242"),
        await client.submit(pay, 7),
    ):
        dead = await client.wait(job.id, 30)
        told.append(f"{dead.state} after {dead.attempts}: {dead.reason}")
    print("\n".join(told))
    return told


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
