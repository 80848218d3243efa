"""The handler of `@app.cron`: its context knows for which time the job runs."""

from datetime import UTC, tzinfo
from typing import Any

from millstream.context import BaseContext
from millstream.cron_context import CronContext
from millstream.handler import Handler


class CronHandler(Handler):
    """A handler that a schedule of its own name calls."""

    zone: tzinfo = UTC
    """The zone of the schedule."""

    def arguments(self, payload: Any, context: BaseContext[Any] | None) -> tuple[Any, ...]:
        """Return the arguments of the function, with the occasion in the zone of the schedule."""
        if isinstance(context, CronContext):
            context.occasion = context.occasion.astimezone(self.zone)
        return super().arguments(payload, context)
