"""What makes a submission a job, the same for whatever submits: ingest for its clients, workers for handlers."""

from millstream_submission.admission import Admission, UnknownTypes
from millstream_submission.building import BuiltJob, build_job, queue_for, stored_job
from millstream_submission.decoding import JSON, MSGPACK, Codec, Decoded, decode_submission
from millstream_submission.dependencies import Dependencies, Recall, blocked_of, parents_of, weight_of
from millstream_submission.errors import (
    BacklogFullError,
    InvalidError,
    MalformedError,
    SubmissionError,
    TooLargeError,
    UnknownParentError,
    invalid,
    malformed,
    too_large,
)
from millstream_submission.field_errors import MAX_QUOTED_CHARS, TOO_DEEP, decode
from millstream_submission.group_commit import GroupCommitter
from millstream_submission.known_queues import KnownQueues
from millstream_submission.payloads import value_fault
from millstream_submission.redriver import Redriver
from millstream_submission.storing import link_stored, store_jobs, tell_unconfirmed
from millstream_submission.system_submitter import SystemSubmitter
from millstream_submission.type_catalogue import KnownType, KnownTypes, TypeCatalogue
from millstream_submission.wording import A_TYPE_NAME

__all__ = [
    "A_TYPE_NAME",
    "JSON",
    "MAX_QUOTED_CHARS",
    "MSGPACK",
    "TOO_DEEP",
    "Admission",
    "BacklogFullError",
    "BuiltJob",
    "Codec",
    "Decoded",
    "Dependencies",
    "GroupCommitter",
    "InvalidError",
    "KnownQueues",
    "KnownType",
    "KnownTypes",
    "MalformedError",
    "Recall",
    "Redriver",
    "SubmissionError",
    "SystemSubmitter",
    "TooLargeError",
    "TypeCatalogue",
    "UnknownParentError",
    "UnknownTypes",
    "blocked_of",
    "build_job",
    "decode",
    "decode_submission",
    "invalid",
    "link_stored",
    "malformed",
    "parents_of",
    "queue_for",
    "store_jobs",
    "stored_job",
    "tell_unconfirmed",
    "too_large",
    "value_fault",
    "weight_of",
]
