"""Errors of ingest.

IngestError          a request is refused; carries the kind of problem and the fields at fault
└── BodyError        the headers that describe its body are wrong

What is wrong with a body is a `millstream_submission.SubmissionError`; `refusals` tells what it means to a client.
"""

from collections.abc import Mapping, Sequence

from millstream_contracts import FieldError, Problem, told
from millstream_ingest.http.problems import ProblemKind


class IngestError(Exception):
    """A request is refused."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str = "",
        errors: Sequence[FieldError] = (),
        *,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        violated: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        self.headers = headers or {}
        """Headers of the answer beyond those of every refusal."""
        self.retry_after_s = retry_after_s
        """When the client may try again; None where any of the next seconds will do."""
        self.violated = violated
        """The names of the limits that the request is over."""
        self.errors = list(errors)
        self.detail = detail or told(self.errors) or kind.advice
        """The fault of this request in words; never empty."""
        super().__init__(self.detail)

    @property
    def status(self) -> int:
        """Return the HTTP status of the answer."""
        return self.kind.status

    def problem(self, *, instance: str = "", trace_id: str = "") -> Problem:
        """Return the answer."""
        return self.kind.problem(
            self.detail, instance=instance, trace_id=trace_id, errors=self.errors, violated=self.violated
        )


class BodyError(IngestError):
    """A header that describes the body is wrong."""
