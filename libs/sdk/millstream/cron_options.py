"""The options of `@app.cron`: those of a job and those of its schedule."""

from typing import Any, cast

from millstream.errors import HandlerError
from millstream.job_options import JobOptions
from millstream.schedules import ScheduleOptions
from millstream_contracts import did_you_mean


class CronJobOptions(ScheduleOptions, JobOptions, total=False):
    """Options of `@app.cron`: those of `@app.job`, and those of `.schedule()`."""


def split_cron_options(job_type: str, options: CronJobOptions) -> tuple[JobOptions, ScheduleOptions]:
    """Return the options of the job and of its schedule. Raises: HandlerError, for one that there is not."""
    of_schedule = set(ScheduleOptions.__annotations__)
    known = of_schedule | set(JobOptions.__annotations__)
    for option in options:
        if option not in known:
            raise HandlerError(f"`{job_type}`: unknown option `{option}`{did_you_mean(option, sorted(known))}")
    given: dict[str, Any] = dict(options)
    job = {option: value for option, value in given.items() if option not in of_schedule}
    schedule = {option: value for option, value in given.items() if option in of_schedule}
    return cast("JobOptions", job), cast("ScheduleOptions", schedule)
