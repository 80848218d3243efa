"""The options of `@app.batch`: those of a job, and how many of them one call takes."""

from typing import Any, cast

import msgspec
from msgspec.structs import replace

from millstream.errors import HandlerError
from millstream.job_options import JobOptions, policy_of
from millstream.seconds import Seconds, in_seconds
from millstream_contracts import Gathering, TypePolicy, did_you_mean


class BatchOptions(JobOptions, total=False):
    """Options of `@app.batch`: those of `@app.job`, and these."""

    size: int
    """The most jobs of one call, 100 by default. No call has more jobs than a worker runs at once."""
    wait: Seconds
    """How long the first job of a call waits for others, 0.1 s by default; at most a sixth of the lease of a worker."""


_OF_GATHERING = ("size", "wait")


def check_batch_options(job_type: str, options: BatchOptions) -> None:
    """Raise HandlerError, with a suggestion, for an option that there is not."""
    known = sorted({*JobOptions.__annotations__, *_OF_GATHERING})
    for option in options:
        if option not in known:
            raise HandlerError(f"`{job_type}`: unknown option `{option}`{did_you_mean(option, known)}")


def split_batch_options(job_type: str, options: BatchOptions) -> tuple[JobOptions, Gathering]:
    """Return the options of the job, and those of the gathering. Raises: HandlerError."""
    given: dict[str, Any] = dict(options)
    plain = Gathering()
    wanted = {"size": given.pop("size", plain.size), "wait_s": in_seconds(given.pop("wait", plain.wait_s))}
    try:
        gathering = msgspec.convert(wanted, Gathering)
    except msgspec.ValidationError as error:
        raise HandlerError(f"`{job_type}`: {str(error).replace('wait_s', 'wait')}") from error
    return cast("JobOptions", given), gathering


def batch_policy_of(job_type: str, options: BatchOptions) -> tuple[TypePolicy, JobOptions]:
    """Return the policy that the options make, and the options of a job among them. Raises: HandlerError."""
    job_options, gathering = split_batch_options(job_type, options)
    if job_options.get("isolation") == "process":
        raise HandlerError(
            f"`{job_type}`: a batch handler runs on the loop or in a thread, and not in a process: a process runs one "
            "job at a time"
        )
    return replace(policy_of(job_type, job_options), gathers=gathering), job_options
