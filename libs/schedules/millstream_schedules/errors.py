"""Errors of schedules.

ScheduleError            a schedule says no time that could be kept
"""


class ScheduleError(ValueError):
    """A schedule cannot be kept as it is asked for.

    Attributes:
        field: The field that is wrong: `cron`, `tz`, `every_s`, `anchor` or `at`.
        detail: What is wrong with it, one line.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
