"""Handlers of the town: jobs in every state, and texts that no page may obey."""

import logging
from typing import Any

import anyio
import structlog

from millstream import App, CronContext, Dead, Retry

app = App("town")

HOSTILE = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">\'"\u202egpj.exe'
LONG_TYPE = "shop.catalogue.import.supplier-feed-with-a-long-name-of-its-own"

LONG_SCHEDULE = "weekly-report-for-every-customer-with-a-long-name-of-its-own-that-no-column-has-room-for"


class HostileError(Exception):
    """An error whose text is hostile."""


@app.job("town.succeed")
async def succeed(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the payload."""
    return payload


@app.job("town.die", retry=Retry(max_attempts=2, delays=[0.01]))
async def die(payload: Any) -> None:
    """Fail each time, with a hostile text, and log more of it."""
    structlog.get_logger().warning(HOSTILE, **{HOSTILE: HOSTILE, "password": "hunter2"})
    logging.getLogger(HOSTILE).error("%s\n%s", HOSTILE, HOSTILE)
    raise HostileError(HOSTILE)


@app.job("town.bury")
async def bury(payload: Any) -> None:
    """Be dead at once, with a hostile reason."""
    raise Dead(HOSTILE)


@app.job("town.linger", timeout=3600)
async def linger() -> None:
    """Run until the worker ends."""
    await anyio.sleep_forever()


@app.job(LONG_TYPE)
async def import_feed(payload: Any) -> int:
    """Return an integer of 64 bits."""
    return 18_446_744_073_709_551_615


@app.cron("town.nightly", "30 2 * * *", tz="Europe/Paris", overlap="skip")
async def nightly(ctx: CronContext) -> str:
    """Return the occasion."""
    return ctx.occasion.isoformat()
