"""The context of a handler that a schedule calls."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from millstream.context import Context, S_co
from millstream_contracts import SCHEDULE_TAG, SCHEDULED_FOR_TAG, made_at


class CronContext(Context[S_co]):
    """What a handler of `@app.cron` is given. `CronContext[Pool]` says what the lifespan of its app yields."""

    def __init__(self, **delivery: Any) -> None:
        super().__init__(**delivery)
        self.schedule: str | None = self.tags.get(SCHEDULE_TAG)
        """The name of the schedule; None for a job that was submitted by hand."""
        self.occasion: datetime = made_at(self.job_id)
        """The time for which the job runs, in the zone of `@app.cron`: what the schedule names, however late it is.

        Of a job that was submitted by hand it is the time of the submission.
        """
        with suppress(ValueError):
            self.occasion = datetime.fromisoformat(self.tags.get(SCHEDULED_FOR_TAG, ""))
