"""Graphs of jobs: docs/handlers/workflows.md.

Run the system with `millstream up workflows:app` in this folder, and then `python workflows.py`.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from millstream import App, Client, Dead, NewJob, Workflow, WorkflowFailedError, chain

app = App("gallery")


class Album(msgspec.Struct):
    """What is known of an album."""

    title: str
    images: list[str]


@app.job("gallery.list")
async def list_album(title: str) -> Album:
    """Find the images of an album."""
    return Album(title, [f"{title}-{number}.png" for number in range(3)])


@app.job("gallery.resize")
async def resize(image: str) -> int:
    """Make a thumbnail, and return its size."""
    if image == "winter-1.png":
        raise Dead("this is no image")
    return len(image)


@app.job("gallery.index")
async def index(sizes: Sequence[int | None]) -> str:
    """Write a page with all thumbnails; None stands for one that could not be made."""
    return f"{sum(size is not None for size in sizes)} of {len(sizes)} images"


@app.job("gallery.tell")
async def tell(page: str) -> str:
    """Tell subscribers."""
    return f"told of {page}"


def thumbnails(title: str, max_failures: int = 0) -> Workflow:
    """Return a workflow that makes a page of an album."""
    flow = Workflow("thumbnails")
    album = flow.add("list", list_album, title)
    sizes = flow.map("resize", resize, over=album.result.images, max_failures=max_failures)
    page = flow.add("index", index, sizes.result)
    flow.add("tell", tell, page.result, optional=True)
    flow.returns({"title": album.result.title, "page": page.result})
    return flow


async def run_thumbnails(client: Client) -> object:
    """Run a workflow, and wait for what it returns."""
    run = await client.run(thumbnails("summer"))
    return await run.result(timeout=60)


async def with_failures(client: Client) -> list[object]:
    """Run one that a broken image stalls, and one that goes on without it."""
    told: list[object] = []
    stalled = await client.run(thumbnails("winter"))
    try:
        await stalled.result(timeout=60)
    except WorkflowFailedError as error:
        told.append(f"{error.workflow.state}: {[node.name for node in await stalled.nodes('failed')]}")
    await stalled.cancel()
    patient = await client.run(thumbnails("winter", max_failures=1))
    return [*told, await patient.result(timeout=60)]


async def run_chain(client: Client) -> object:
    """Run jobs one after the other, each with the result of the one before."""
    run = await client.run(chain(NewJob(index, [3, 4]), tell))
    return await run.result(timeout=60)


async def main(client: Client) -> list[object]:
    """Run each of the above."""
    results = [await run_thumbnails(client), *await with_failures(client), await run_chain(client)]
    print(*results, sep="\n")
    return results


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
