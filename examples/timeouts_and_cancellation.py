"""How handlers are stopped: docs/handlers/timeouts-and-cancellation.md.

Run the system with `millstream up timeouts_and_cancellation:app` in this folder, and then
`python timeouts_and_cancellation.py`.
"""

import asyncio
import time
from datetime import timedelta
from tempfile import TemporaryDirectory

from millstream import App, Client, Context, JobFailedError, Retry, SyncContext

app = App("films")


async def download(name: str, folder: str) -> None:
    """Stand for a download that hangs."""
    await asyncio.sleep(60, (name, folder))


async def tell_the_others(name: str) -> None:
    """Stand for a message to another service."""
    await asyncio.sleep(0.01, name)


@app.job("film.fetch", timeout=timedelta(seconds=0.5), retry=Retry(max_attempts=1))
async def fetch(name: str) -> None:
    """Fetch a film, which takes longer than there is time."""
    with TemporaryDirectory(prefix="film-") as folder:  # is removed, however this ends
        try:
            await download(name, folder)
        except asyncio.CancelledError:
            await tell_the_others(name)  # may wait, as long as the time for clean-up lasts
            raise


@app.job("film.count")
def count_frames(frames: int, ctx: SyncContext) -> int:
    """Count frames in a thread, which ends when it looks at `ctx.cancelled`."""
    for frame in range(frames):
        if ctx.cancelled:
            return frame  # is dropped
        time.sleep(0.01)
    return frames


@app.job("film.ask", timeout=30)
async def ask(question: str, ctx: Context) -> str:
    """Give another service the time that is left."""
    assert ctx.deadline is not None
    seconds = ctx.deadline - time.monotonic() - 5  # the rest is for what follows
    async with asyncio.timeout(seconds):
        await asyncio.sleep(0.01)  # stands for the call
    return f"{question} {seconds:.0f} s at most"


async def main(client: Client) -> list[str]:
    """Run into a timeout, cancel a job that runs, and ask."""
    told: list[str] = []
    film = await client.submit(fetch, "m.mkv")
    frames = await client.submit(count_frames, 100_000)
    while (await frames.status()).state != "running":
        await asyncio.sleep(0.05)
    await frames.cancel()
    for job in (film, frames):
        try:
            await job.result(timeout=30)
        except JobFailedError as error:
            why = error.job.error.message if error.job.error else error.job.reason
            told.append(f"{error.job.state}: {why}")
    asked = await client.submit(ask, "how long?")
    told.append(await asked.result(timeout=30))
    print("\n".join(told))
    return told


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
