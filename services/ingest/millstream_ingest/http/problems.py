"""The problems that ingest answers with: one catalogue for the responses, the pages and docs/problems.md.

Every refusal is an RFC 9457 document whose `type` is `/problems/<slug>`, a relative reference that ingest serves
itself, or a type that all APIs share. Clients rely on a slug: it is never renamed.
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
    registered: str = ""
    """The URL of a type that all APIs share; empty for one of ours."""

    @property
    def type(self) -> str:
        """Return the URL of the problem's page, relative to where ingest is served, or that of a shared type."""
        return self.registered or f"{PROBLEMS_PATH}/{self.slug}"

    def problem(
        self,
        detail: str = "",
        *,
        instance: str = "",
        trace_id: str = "",
        errors: Iterable[FieldError] = (),
        violated: Iterable[str] = (),
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
            violated_policies=list(violated),
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
UNAUTHENTICATED = ProblemKind(
    "unauthenticated",
    "The request needs a valid credential",
    401,
    "Send the header `Authorization: Bearer ms_…` with a key of this Millstream, or with a token of an issuer that it "
    "trusts. `detail` says what is wrong with the one that was sent. A key is made by `millstream keys create`, and "
    "the first one by `millstream keys bootstrap`.",
)
FORBIDDEN = ProblemKind(
    "forbidden",
    "The credential does not allow this",
    403,
    "The key or the token is valid, and does not have the scope that the request needs; `detail` and "
    "`WWW-Authenticate` name it. An administrator can make a key with another role, or change what the claims of "
    "tokens grant.",
)
TENANT_SUSPENDED = ProblemKind(
    "tenant-suspended",
    "The tenant is suspended",
    403,
    "The operator of this Millstream has suspended the tenant of this key: it submits nothing, and none of its jobs "
    "starts, until the operator lets it go on. What it has can be read. Ask the operator.",
)

QUOTA_REACHED = ProblemKind(
    "quota-reached",
    "The tenant has as much as its quota allows",
    403,
    "The operator of this Millstream has set how many schedules, webhooks or keys the tenant may have; `detail` says "
    "which. Remove one, or ask the operator for more.",
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
KEY_NOT_FOUND = ProblemKind(
    "key-not-found",
    "There is no such key",
    404,
    "This tenant has no key of this id: it is misspelt, was revoked, or expired a month ago.",
)
TENANT_NOT_FOUND = ProblemKind(
    "tenant-not-found",
    "There is no such tenant",
    404,
    "No tenant has this name: it is misspelt, or was deleted.",
)
SESSION_NOT_FOUND = ProblemKind(
    "session-not-found",
    "There is no such session",
    404,
    "This tenant has no session of this id: it is misspelt, was ended, has expired, or its key was revoked. "
    "`current` is there only for a request that is made with a session.",
)
TEMPLATE_NOT_FOUND = ProblemKind(
    "template-not-found",
    "There is no such template",
    404,
    "This tenant has no template of this name: it is misspelt, or was removed.",
)
SCHEDULE_NOT_FOUND = ProblemKind(
    "schedule-not-found",
    "There is no such schedule",
    404,
    "This tenant has no schedule of this name, or the schedule no such backfill: it is misspelt, was removed, or was "
    "done for a day.",
)
WORKFLOW_NOT_FOUND = ProblemKind(
    "workflow-not-found",
    "There is no such workflow",
    404,
    "The id belongs to no workflow of this tenant: it is misspelt, or the workflow has ended, its `retention_s` ran "
    "out, and no history has it.",
)
WORKFLOW_FORGOTTEN = ProblemKind(
    "workflow-forgotten",
    "The workflow can only be read",
    410,
    "The workflow has ended and its `retention_s` ran out: the history shows it, but what its nodes were to do is "
    "forgotten, so none of them can run again. Submit it again; a longer `retention_s` leaves more time for a rerun.",
)
BATCH_NOT_FOUND = ProblemKind(
    "batch-not-found",
    "There is no such batch",
    404,
    "The id belongs to no batch of this tenant: it is misspelt, or the batch has ended and its `retention_s` ran out.",
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
    "For example, a job that has ended cannot be cancelled. Read the job, the schedule, the workflow or the batch to "
    "see where it is now.",
)
BATCH_CLOSED = ProblemKind(
    "batch-closed",
    "The batch takes no more members",
    409,
    "It was closed, was cancelled, or has closed itself after its `expires_in_s`. From then on only its members add to "
    "it, each until it has ended. Nothing was accepted. Make another batch.",
)
BATCH_FULL = ProblemKind(
    "batch-full",
    "The batch is full",
    409,
    "It would have more than 100,000 members. Nothing was accepted. Make another batch for the rest.",
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
UNKNOWN_PARENT = ProblemKind(
    "unknown-parent",
    "A job to wait for is not known",
    422,
    "`after` names a job that does not exist, or that has ended and was forgotten; `errors` says which. Nothing was "
    "accepted. With `after_unknown: ignore` such jobs count as done.",
)
IDEMPOTENCY_KEY_REUSED = ProblemKind(
    "idempotency-key-reused",
    "The idempotency key belongs to another request",
    422,
    "The same `Idempotency-Key` came with another body within 24 hours. Use a new key for new work.",
)
UNIQUE_CONFLICT = ProblemKind(
    "unique-conflict",
    "Another job holds the unique key",
    409,
    "A job of the type with the same unique key is there, and the submission or its type asks for a refusal then "
    "(`on_conflict`: `reject`, or `replace` once that job has started). `detail` names the job. Nothing was accepted. "
    "A dead job is refused a new life for the same reason. Submit again when that job has ended.",
)
JOB_FORGOTTEN = ProblemKind(
    "job-forgotten",
    "The idempotency key's job has been forgotten",
    410,
    "An earlier request with this `Idempotency-Key` made a job, a workflow or a batch that has ended since and is kept "
    "no longer. Nothing was accepted this time. Use a new key if the work is to be done again.",
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
TOO_MANY_ATTEMPTS = ProblemKind(
    "too-many-attempts",
    "This address has failed to authenticate too often",
    429,
    "More than ten requests of this address within a second had no valid key. Those with a valid one are answered all "
    "the same, and a key or session that has ended is told so with a 401. Repeat the request "
    "after the seconds in `Retry-After`.",
)
QUOTA_EXCEEDED = ProblemKind(
    "quota-exceeded",
    "Request cannot be satisfied as assigned quota has been exceeded",
    429,
    "The key has submitted more jobs, or made more requests, than its limits allow; `violated-policies` names the "
    "limit, and `RateLimit-Policy` says what it is. Nothing was accepted. Repeat the request after the seconds in "
    "`Retry-After`. The type of this problem is the one that all APIs share: "
    "`https://iana.org/assignments/http-problem-types#quota-exceeded`.",
    registered="https://iana.org/assignments/http-problem-types#quota-exceeded",
)
INTERNAL_ERROR = ProblemKind(
    "internal-error",
    "Ingest failed",
    500,
    "A defect in Millstream. Whether anything was stored is unknown, so repeat the request with its `Idempotency-Key`. "
    "`trace_id` finds the cause in traces and logs.",
)
ISSUER_UNREACHABLE = ProblemKind(
    "issuer-unreachable",
    "The keys of the issuer of the token cannot be read",
    503,
    "Ingest knows no key that the token was signed with, and cannot ask the issuer for its keys. Tokens with a key "
    "that it knows, and keys of Millstream, are taken all the same. Repeat the request after the seconds in "
    "`Retry-After`.",
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
BACKLOG_FULL = ProblemKind(
    "backlog-full",
    "The queue has as many jobs as its cap allows",
    503,
    "An operator has set how many jobs of this type may wait, be scheduled or run. Nothing was accepted. Repeat the "
    "request after the seconds in `Retry-After`, which follow from how many jobs have started in the last minute.",
)
KEY_BACKLOG_FULL = ProblemKind(
    "key-backlog-full",
    "The key has as many jobs as its cap allows",
    429,
    "An operator has set how many jobs of this type may wait or run for each key, such as a customer. Nothing was "
    "accepted; other keys may have room. Repeat the request after the seconds in `Retry-After`, which follow from how "
    "many jobs have started in the last minute.",
)
TENANT_BACKLOG_FULL = ProblemKind(
    "tenant-backlog-full",
    "The tenant has as many waiting jobs as its quota allows",
    429,
    "The operator of this Millstream has set how many jobs of the tenant may be queued, scheduled or blocked. Nothing "
    "was accepted. Repeat the request after the seconds in `Retry-After`, when some of them have run.",
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
    "The worker was asked where the handler of a job is, or to drain, and has not said so within five seconds. It may "
    "be of an earlier release, cut off from Redis, or run native code that never gives up the interpreter. No job is "
    "touched. Ask again.",
)

CATALOGUE: dict[str, ProblemKind] = {
    kind.slug: kind
    for kind in (
        BAD_REQUEST,
        MALFORMED_BODY,
        UNAUTHENTICATED,
        FORBIDDEN,
        TENANT_SUSPENDED,
        QUOTA_REACHED,
        NOT_FOUND,
        JOB_NOT_FOUND,
        KEY_NOT_FOUND,
        TENANT_NOT_FOUND,
        SESSION_NOT_FOUND,
        TEMPLATE_NOT_FOUND,
        SCHEDULE_NOT_FOUND,
        WORKFLOW_NOT_FOUND,
        WORKFLOW_FORGOTTEN,
        BATCH_NOT_FOUND,
        ERASED,
        METHOD_NOT_ALLOWED,
        REQUEST_TIMEOUT,
        WRONG_STATE,
        BATCH_CLOSED,
        BATCH_FULL,
        TOO_LARGE,
        UNSUPPORTED_MEDIA_TYPE,
        INVALID_REQUEST,
        UNKNOWN_PARENT,
        IDEMPOTENCY_KEY_REUSED,
        UNIQUE_CONFLICT,
        JOB_FORGOTTEN,
        INVALID_QUERY,
        NO_HISTORY,
        NO_WEBHOOK_KEY,
        TOO_MANY_SEARCHES,
        TOO_MANY_ATTEMPTS,
        QUOTA_EXCEEDED,
        INTERNAL_ERROR,
        ISSUER_UNREACHABLE,
        STORE_UNREACHABLE,
        NOT_DURABLE,
        STORE_FULL,
        BACKLOG_FULL,
        KEY_BACKLOG_FULL,
        TENANT_BACKLOG_FULL,
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
