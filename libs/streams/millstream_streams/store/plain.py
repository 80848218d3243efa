"""Derives the fields that the hash of a job without a past leaves out: the rule of scripts/_past.lua in Python.

A job has a past when its hash has a `version`. Of any other, version, deliveries and attempts follow from its state.
"""

from collections.abc import Mapping

from millstream_contracts import JobState
from millstream_streams.store.specs import read_int

Fields = Mapping[bytes, bytes]

_VERSIONS = {JobState.QUEUED: 1, JobState.RUNNING: 2, JobState.SUCCEEDED: 3}


def version_of(fields: Fields, state: JobState) -> int:
    """Return how many transitions a job has gone through, its submission included."""
    return read_int(fields.get(b"version")) or _VERSIONS.get(state, 1)


def deliveries_of(fields: Fields) -> int:
    """Return how often a job was handed to a worker."""
    return read_int(fields.get(b"deliveries")) or int(b"started_at" in fields)


def attempts_of(fields: Fields, state: JobState) -> int:
    """Return how many attempts of a job have counted."""
    return read_int(fields.get(b"attempts")) or int(state is JobState.SUCCEEDED)
