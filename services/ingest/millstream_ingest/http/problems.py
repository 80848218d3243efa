"""The problems that ingest answers with: one catalogue for the responses, the pages and docs/problems.md.

Every refusal is an RFC 9457 document whose `type` is `/problems/<slug>`, a relative reference that ingest serves
itself. Clients rely on a slug: it is never renamed.
"""

import textwrap
from collections.abc import Iterable

from msgspec import Struct

from millstream_contracts import FieldError, Problem

PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEMS_PATH = "/problems"


class ProblemKind(Struct, frozen=True):
    """One kind of refusal."""

    slug: str
    title: str
    status: int
    advice: str
    """What happened and what the client can do, as Markdown; the body of the problem's page."""

    @property
    def type(self) -> str:
        """Return the URL of the problem's page, relative to where ingest is served."""
        return f"{PROBLEMS_PATH}/{self.slug}"

    def problem(
        self, detail: str = "", *, instance: str = "", trace_id: str = "", errors: Iterable[FieldError] = ()
    ) -> Problem:
        """Return the document for one occurrence. `instance` is the path of the request."""
        return Problem(
            type=self.type,
            title=self.title,
            status=self.status,
            detail=detail,
            instance=instance,
            trace_id=trace_id,
            errors=list(errors),
        )


BAD_REQUEST = ProblemKind(
    "bad-request",
    "The request cannot be understood",
    400,
    "Something outside of the body is broken, e.g. a query string or a header. `detail` says what.",
)
MALFORMED_BODY = ProblemKind(
    "malformed-body",
    "The body cannot be decoded",
    400,
    "The bytes are not JSON, or not MessagePack, whichever `Content-Type` says they are. JSON has to be UTF-8 "
    "without a byte order mark, and knows no NaN or Infinity. `detail` says at which byte decoding stopped.",
)
NOT_FOUND = ProblemKind(
    "not-found", "There is nothing here", 404, "No route has this path. `/docs` lists those there are."
)
JOB_NOT_FOUND = ProblemKind(
    "job-not-found",
    "There is no such job",
    404,
    "The id belongs to no job of this tenant: it is misspelt, or the job has been forgotten since its "
    "`result_ttl` ran out.",
)
SCHEDULE_NOT_FOUND = ProblemKind(
    "schedule-not-found",
    "There is no such schedule",
    404,
    "This tenant has no schedule of this name, or the schedule no such backfill: it is misspelt, was removed, or was "
    "done for a day.",
)
ERASED = ProblemKind(
    "erased",
    "The job has been erased",
    410,
    "An operation has removed what was stored of the job: payload, result, errors, tags and reasons. Its id, type, "
    "times and outcome stay, and searches show them. It cannot be brought back.",
)
METHOD_NOT_ALLOWED = ProblemKind(
    "method-not-allowed", "The path does not take this method", 405, "The header `Allow` lists those it takes."
)
REQUEST_TIMEOUT = ProblemKind(
    "request-timeout",
    "The body did not come",
    408,
    "Nothing of the body came for ten seconds. Nothing was accepted. Repeat the request.",
)
WRONG_STATE = ProblemKind(
    "wrong-state",
    "The state forbids this",
    409,
    "For example, a job that has ended cannot be cancelled. Read the job, or the schedule, to see where it is now.",
)
TOO_LARGE = ProblemKind(
    "too-large",
    "The request is too large",
    413,
    "A body, a payload or a batch is over its limit; `detail` and `errors` say which and by how much. Larger data "
    "belongs in an object store, its address in the payload.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemKind(
    "unsupported-media-type",
    "The body's media type is not supported",
    415,
    "Send `Content-Type: application/json` or `application/vnd.msgpack`, and no `Content-Encoding`. A batch may also "
    "come as `application/x-ndjson` or `application/vnd.msgpack-seq`.",
)
INVALID_REQUEST = ProblemKind(
    "invalid-request",
    "The request is well-formed but wrong",
    422,
    "`errors` lists the fields: `pointer` is a JSON Pointer into the body (`?name` for a query parameter, `Name:` for "
    "a header), `detail` says what is wrong with it. Sending the same request again will not help.",
)
IDEMPOTENCY_KEY_REUSED = ProblemKind(
    "idempotency-key-reused",
    "The idempotency key belongs to another request",
    422,
    "The same `Idempotency-Key` came with another body within 24 hours. Use a new key for new work.",
)
JOB_FORGOTTEN = ProblemKind(
    "job-forgotten",
    "The idempotency key's job has been forgotten",
    410,
    "An earlier request with this `Idempotency-Key` made a job that has ended since, and its result is kept no longer. "
    "Nothing was accepted this time. Use a new key if the work is to be done again.",
)
INVALID_QUERY = ProblemKind(
    "invalid-query",
    "The search means nothing",
    422,
    "`errors` says where the fault is in the parameter `q` (from the character `position` up to `end`, counted from "
    "0), what is wrong there, and in `hint` what may have been meant. `docs/history/searching.md` has the language.",
)
NO_HISTORY = ProblemKind(
    "no-history",
    "There is no history",
    422,
    "The request is about jobs of the past, and this installation keeps no history. Give ingest and the dispatchers "
    "the address of a PostgreSQL in `MILLSTREAM_HISTORY_URL`, and run `millstream migrate` with it. What waits or runs "
    "now is listed without it.",
)
NO_WEBHOOK_KEY = ProblemKind(
    "no-webhook-key",
    "Calls cannot be signed",
    422,
    "The secrets of webhooks are derived from a key, and this installation has none. Give ingest, the dispatchers and "
    "the workers the same `MILLSTREAM_WEBHOOK_KEY`: 32 random characters or more.",
)
TOO_MANY_SEARCHES = ProblemKind(
    "too-many-searches",
    "Too many searches are under way",
    429,
    "A process of ingest runs four searches at once, two of one tenant. Repeat the request after the seconds in "
    "`Retry-After`.",
)
INTERNAL_ERROR = ProblemKind(
    "internal-error",
    "Ingest failed",
    500,
    "A defect in Millstream. Whether anything was stored is unknown, so repeat the request with its `Idempotency-Key`. "
    "`trace_id` finds the cause in traces and logs.",
)
STORE_UNREACHABLE = ProblemKind(
    "store-unreachable",
    "Redis cannot be reached",
    503,
    "Nothing was accepted, or its storing could not be confirmed. Repeat the request with its `Idempotency-Key` after "
    "the seconds in `Retry-After`.",
)
NOT_DURABLE = ProblemKind(
    "not-durable",
    "The durability asked for could not be confirmed",
    503,
    "The job is stored by the primary and will run, but within two seconds no replica, or no disk, confirmed that it "
    "has it too. Repeat the request with its `Idempotency-Key` to ask again; it makes no second job.",
)
STORE_FULL = ProblemKind(
    "store-full",
    "Redis is full",
    503,
    "Redis has reached its memory limit and takes no new jobs; those it has go on. Nothing was accepted. Repeat the "
    "request after the seconds in `Retry-After`.",
)
OVERLOADED = ProblemKind(
    "overloaded",
    "Ingest has too much in hand",
    503,
    "More is waiting for Redis than this process will hold, or has waited for longer than it should. Redis may be "
    "well. Nothing was accepted. Repeat the request after the seconds in `Retry-After`.",
)
HISTORY_UNAVAILABLE = ProblemKind(
    "history-unavailable",
    "The history cannot be read now",
    503,
    "The PostgreSQL of the history does not answer in time, or cannot be used; the log of ingest says why. Nothing is "
    "lost: jobs are accepted, run and listed without it, and their events are written later. Repeat the request after "
    "the seconds in `Retry-After`.",
)

WORKER_SILENT = ProblemKind(
    "worker-silent",
    "The worker did not answer in time",
    504,
    "The worker that runs the job was asked where its handler is, and has not said so within five seconds. It may be "
    "of an earlier release, cut off from Redis, or run native code that never gives up the interpreter. The job is not "
    "touched. Ask again.",
)

CATALOGUE: dict[str, ProblemKind] = {
    kind.slug: kind
    for kind in (
        BAD_REQUEST,
        MALFORMED_BODY,
        NOT_FOUND,
        JOB_NOT_FOUND,
        SCHEDULE_NOT_FOUND,
        ERASED,
        METHOD_NOT_ALLOWED,
        REQUEST_TIMEOUT,
        WRONG_STATE,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        IDEMPOTENCY_KEY_REUSED,
        JOB_FORGOTTEN,
        INVALID_QUERY,
        NO_HISTORY,
        NO_WEBHOOK_KEY,
        TOO_MANY_SEARCHES,
        INTERNAL_ERROR,
        STORE_UNREACHABLE,
        NOT_DURABLE,
        STORE_FULL,
        OVERLOADED,
        HISTORY_UNAVAILABLE,
        WORKER_SILENT,
    )
}

_KIND_OF_STATUS = {
    kind.status: kind
    for kind in (NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, OVERLOADED)
}


def kind_of_status(status: int) -> ProblemKind:
    """Return the kind for an error that the web framework raised by status alone."""
    return _KIND_OF_STATUS.get(status) or (BAD_REQUEST if 400 <= status < 500 else INTERNAL_ERROR)


def page_of(kind: ProblemKind) -> str:
    """Return the page of one problem as a section of Markdown."""
    text = textwrap.fill(f"**{kind.status} · {kind.title}.** {kind.advice}", width=110, break_on_hyphens=False)
    return f"## {kind.slug}\n\n{text}\n"
