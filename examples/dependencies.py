"""Jobs that wait for other jobs: docs/handlers/dependencies.md.

Run the system with `millstream up dependencies:app` in this folder, and then `python dependencies.py`.
"""

import asyncio

from millstream import App, Client, Context, Dead, JobFailedError

app = App("albums")


@app.job("album.resize")
async def resize(name: str) -> str:
    """Make a thumbnail."""
    if name == "broken":
        raise Dead("this is no image")
    return f"{name}.small"


@app.job("album.index")
async def index(album: str) -> str:
    """List what there is."""
    return f"index of {album}"


@app.job("album.publish")
async def publish(album: str, ctx: Context) -> str:
    """Have the album indexed, and tell about it afterwards: a handler may submit such jobs too."""
    indexed = await ctx.submit(index, album)
    told = await ctx.submit("album.tell", album, after=indexed)
    return f"{told.id.partition('_')[0]} comes after {indexed.id.partition('_')[0]}"


@app.job("album.tell")
async def tell(album: str) -> str:
    """Tell subscribers."""
    return f"told of {album}"


async def in_order(client: Client) -> str:
    """Index an album once each of its images has been resized."""
    images = [await client.submit(resize, name) for name in ("one", "two")]
    job = await client.submit(index, "summer", after=images)
    return await job.result(timeout=60)


async def whatever_happens(client: Client) -> list[str]:
    """Submit what comes after a job that fails: one that runs all the same, and one that is cancelled."""
    broken = await client.submit(resize, "broken")
    report = await client.submit(index, "winter", after=broken, after_failure="run")
    cancelled = await client.submit(publish, "winter", after=broken, after_failure="cancel")
    told = [await report.result(timeout=60)]
    try:
        await cancelled.result(timeout=60)
    except JobFailedError as error:
        told.append(f"{error.job.state}: {error.job.reason}")
    return told


async def main(client: Client) -> list[str]:
    """Run each of the above."""
    published = await client.submit(publish, "spring")
    results = [await in_order(client), *await whatever_happens(client), await published.result(timeout=60)]
    print("\n".join(results))
    return results


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
