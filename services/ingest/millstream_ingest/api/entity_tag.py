"""The entity tag of a job."""

import zlib

from millstream_contracts import Job


def etag_of(job: Job) -> str:
    """Return the entity tag of a job as it is now."""
    if job.progress is None:
        return f'"{job.version}"'
    # Progress is no transition, so the version alone would hide it.
    return f'"{job.version}.{zlib.crc32(repr(job.progress).encode()):x}"'
