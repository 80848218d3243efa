"""Two hundred job types that do nothing, for a system with many types."""

from millstream import App

TYPES = tuple(f"bench.type-{number:03d}" for number in range(200))

app = App("bench-many")


async def noop() -> None:
    """Do nothing."""


for job_type in TYPES:
    app.job(job_type)(noop)
