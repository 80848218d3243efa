"""One call for many jobs: docs/handlers/batch-handlers.md.

Run the system with `millstream up batch_handlers:app` in this folder, and then `python batch_handlers.py`.
"""

import asyncio

from millstream import App, Batch, Client, JobFailedError, Retry

app = App("search")


@app.batch("text.index", size=50, wait=0.2, retry=Retry(max_attempts=1))
async def index(texts: Batch[str, int]) -> None:
    """Index texts, and count the words of each."""
    await asyncio.sleep(0.05)  # stands for one request with all texts
    for item in texts:
        if item.payload.strip():
            item.succeed(len(item.payload.split()))
        else:
            item.fail(ValueError("nothing to index"))


async def main(client: Client) -> list[str]:
    """Submit texts one by one, and show what became of each."""
    jobs = [await client.submit(index, text) for text in ("it was a dark", "and stormy night, the rain fell in", "  ")]
    shown: list[str] = []
    for job in jobs:
        try:
            shown.append(f"{await job.result()} words")
        except JobFailedError as error:
            shown.append(f"dead: {error.job.error.message if error.job.error else ''}")
    gathers = index.policy.gathers
    shown.append(f"indexed by calls of up to {gathers.size if gathers else 1} jobs")
    for line in shown:
        print(line)
    return shown


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
