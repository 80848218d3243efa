"""The demo's own handlers: work that fails in the ways that the demo shows."""

from millstream import App, Context, Retry
from millstream_contracts import JobId

app = App("demo")

FLAKY_ATTEMPTS = 3
POISON_ATTEMPTS = 3


class BusyError(Exception):
    """Stands for a dependency that is overloaded, and recovers."""


class PoisonError(Exception):
    """Stands for a job that can never succeed."""


@app.job("demo.flaky", retry=Retry(max_attempts=5, base=0.2, cap=1.0))
async def flaky(ctx: Context) -> int:
    """Fail twice, then succeed."""
    if ctx.attempt < FLAKY_ATTEMPTS:
        raise BusyError(f"attempt {ctx.attempt}: try again")
    return ctx.attempt


@app.job("demo.poison", retry=Retry(max_attempts=POISON_ATTEMPTS, base=0.1, cap=0.5))
async def poison() -> None:
    """Fail always."""
    raise PoisonError("this job cannot succeed")


@app.job("demo.delayed")
async def delayed(ctx: Context) -> JobId:
    """Run when it is due."""
    return ctx.job_id
