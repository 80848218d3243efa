"""What makes a submission a job, the same for whatever submits: ingest for its clients, workers for handlers."""

from millstream_submission.admission import Admission, UnknownTypes
from millstream_submission.building import BuiltJob, build_job, chosen_partition, queue_for, stored_job
from millstream_submission.decoding import JSON, MSGPACK, Codec, Decoded, check_submission, decode_submission
from millstream_submission.dependencies import Dependencies, Recall, blocked_of, parents_of, weight_of
from millstream_submission.errors import (
    BacklogFullError,
    BatchClosedError,
    BatchFullError,
    BatchNotFoundError,
    InvalidError,
    MalformedError,
    SubmissionError,
    TooLargeError,
    UniqueConflictError,
    UnknownParentError,
    held_by,
    invalid,
    malformed,
    too_large,
)
from millstream_submission.field_errors import MAX_QUOTED_CHARS, TOO_DEEP, decode
from millstream_submission.group_commit import GroupCommitter
from millstream_submission.intake import Intake
from millstream_submission.job_key import Placing, key_of, partition_of
from millstream_submission.known_queues import REMEMBER_QUEUE_S, KnownQueues
from millstream_submission.masking import Masker
from millstream_submission.membership import Members, Membership
from millstream_submission.parent_spans import parent_spans
from millstream_submission.payloads import value_fault
from millstream_submission.redriver import Redriver
from millstream_submission.shown_workflow import shown_node, shown_workflow
from millstream_submission.storing import CountConflict, conflict_of, link_stored, store_jobs, tell_unconfirmed
from millstream_submission.system_submitter import SystemSubmitter
from millstream_submission.templates import shown_template, stored_template
from millstream_submission.tenant_states import follow_quota, follow_state, in_deletion, revoke_all
from millstream_submission.type_catalogue import KnownType, KnownTypes, TypeCatalogue
from millstream_submission.wording import A_TYPE_NAME

__all__ = [
    "A_TYPE_NAME",
    "JSON",
    "MAX_QUOTED_CHARS",
    "MSGPACK",
    "REMEMBER_QUEUE_S",
    "TOO_DEEP",
    "Admission",
    "BacklogFullError",
    "BatchClosedError",
    "BatchFullError",
    "BatchNotFoundError",
    "BuiltJob",
    "Codec",
    "CountConflict",
    "Decoded",
    "Dependencies",
    "GroupCommitter",
    "Intake",
    "InvalidError",
    "KnownQueues",
    "KnownType",
    "KnownTypes",
    "MalformedError",
    "Masker",
    "Members",
    "Membership",
    "Placing",
    "Recall",
    "Redriver",
    "SubmissionError",
    "SystemSubmitter",
    "TooLargeError",
    "TypeCatalogue",
    "UniqueConflictError",
    "UnknownParentError",
    "UnknownTypes",
    "blocked_of",
    "build_job",
    "check_submission",
    "chosen_partition",
    "conflict_of",
    "decode",
    "decode_submission",
    "follow_quota",
    "follow_state",
    "held_by",
    "in_deletion",
    "invalid",
    "key_of",
    "link_stored",
    "malformed",
    "parent_spans",
    "parents_of",
    "partition_of",
    "queue_for",
    "revoke_all",
    "shown_node",
    "shown_template",
    "shown_workflow",
    "store_jobs",
    "stored_job",
    "stored_template",
    "tell_unconfirmed",
    "too_large",
    "value_fault",
    "weight_of",
]
