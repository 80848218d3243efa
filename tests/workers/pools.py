"""Apps that share the state of one lifespan by `state_of` and `include`, in the loop, in threads and in processes."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from millstream import App, Context, SyncContext

opened: list[str] = []
"""The apps whose lifespans were opened in this process."""


class Pool:
    """A state."""

    def __init__(self, name: str) -> None:
        self.name = name


@asynccontextmanager
async def lifespan(app: App[Pool]) -> AsyncGenerator[Pool]:
    """Open a pool with the name of the app."""
    opened.append(app.name)
    yield Pool(app.name)


app = App("shop", lifespan=lifespan)
reports = App("reports", state_of=app)
other = App("other", lifespan=lifespan)
library: App[Pool] = App("library")
shelf: App[Pool] = App("shelf")


def told(ctx: Context[Pool] | SyncContext[Pool]) -> list[str | int]:
    """Return whose pool a handler has, how many were opened in its process, and whether that is the worker."""
    return [ctx.state.name, len(opened), os.getpid()]


def register(one: App[Pool]) -> None:
    """Register a handler for each place where handlers run."""

    @one.job(f"{one.name}.loop")
    async def on_loop(_: None, ctx: Context[Pool]) -> list[str | int]:
        return told(ctx)

    @one.job(f"{one.name}.thread")
    def in_thread(_: None, ctx: SyncContext[Pool]) -> list[str | int]:
        return told(ctx)

    @one.job(f"{one.name}.process", isolation="process")
    def in_process(_: None, ctx: SyncContext[Pool]) -> list[str | int]:
        return told(ctx)


for each in (app, reports, other, library, shelf):
    register(each)
library.include(shelf)
app.include(reports, other, library)
