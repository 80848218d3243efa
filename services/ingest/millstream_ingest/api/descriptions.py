"""What the API document says of each object and each of its fields. A test holds that none is left out."""

from collections.abc import Mapping

from msgspec import Struct


class Model(Struct, frozen=True):
    """The words about one object of the API."""

    text: str
    fields: Mapping[str, str] = {}


_CURSOR = "Where the list goes on: the parameter `cursor` of the next request. Null at the end"
_LAG = "Seconds since the oldest event that the history does not have yet; 0 without one, null where that is not known"


def _page(of: str) -> Model:
    return Model(f"A page of a list of {of}.", {"items": f"The {of} of this page", "next_cursor": _CURSOR})


_ID = "Id of the job"
_TENANT_ENCRYPTION = (
    "Which of its jobs are stored encrypted: `all`, or with `inherit` those of types that declare it, as the "
    "installation says; absent for that"
)
_WEBHOOK = {
    "id": "Id of the endpoint",
    "url": "Where the calls go",
    "types": "Job types, or patterns",
    "events": "Which events",
    "payloads": "Whether calls have the payload and the result of the job",
    "description": "What it is for, in words",
    "created_at": "When it was made: it gets what happened since",
    "rotated_at": "When its secret was last replaced",
    "enabled_at": "When it was last enabled again: it gets what happened since",
    "disabled_at": "Since when it gets no events; null while it does",
    "disabled_reason": "Why it gets no events",
    "failing_since": "Since when every delivery has failed; null while some succeed",
}
_RULES = {
    "cron": "Five fields; six, seconds first, with `seconds`; or a word such as `@daily`. One of `cron`, `every_s` and "
    "`at` is given",
    "seconds": "Whether `cron` has six fields, seconds first",
    "every_s": "An interval in seconds. Its occasions are its multiples from `anchor` on",
    "anchor": "From when intervals count; 1970 when left out",
    "at": "The moment of the one occasion",
    "tz": "IANA zone in which `cron` is read. `UTC` when left out",
    "missed": "What is done about occasions that are late by more than `late_s`: `skip` them, run the `latest` one "
    "(when left out), or `all`",
    "late_s": "How late an occasion may be, in seconds. 60 when left out",
    "max_missed": "With `all`: how many missed occasions run, the latest ones, oldest first. 100 when left out",
    "catch_up_s": "A missed occasion that is older, in seconds, does not run. A day when left out",
    "overlap": "What is done about an occasion while the job of the one before has not ended: `allow` it (when left "
    "out), `skip` it, `queue` the newest one, or `cancel-running` the job",
    "jitter_s": "Occasions fire later by an offset of at most so many seconds, which follows from the name",
    "description": "What it is for, in words",
}
_COUNTS = {
    "submitted": "Jobs that were submitted",
    "started": "Attempts that began",
    "succeeded": "Jobs that succeeded",
    "retried": "Attempts that failed and left another one",
    "dead": "Jobs that died",
    "cancelled": "Jobs that were cancelled",
    "expired": "Jobs that expired",
    "wait_p50_ms": "Milliseconds that jobs were ready before an attempt: half of those that began waited no "
    "longer. Null without any",
    "wait_p95_ms": "As before, for 95 of a hundred",
    "run_p50_ms": "Milliseconds that attempts took which succeeded or failed: half of them took no longer. "
    "Null without any",
    "run_p95_ms": "As before, for 95 of a hundred",
}
_TYPE = "Job type: which handler runs it"
_CHECKS = "Each check by its name"

_KEY = "What a job is grouped by, such as a customer: limits of its type may hold for each key, and keys take turns"

_STARTS = {
    "concurrency": "How many may run at once",
    "rate": "How many may start in a time: a number, `/`, and `s`, `m`, `h` or `d`, as in `100/m`",
    "burst": "How many may start at once when none has started for long; the number of `rate` by default",
}

_TEMPLATE = {
    "type": _TYPE,
    "payload": "What the handler gets. Of an object, a submission may replace single members",
    "priority": "Which jobs of a type are taken more often",
    "key": _KEY,
    "delay_s": "Seconds from the submission on before which a job does not start",
    "expires_in_s": "Seconds from the submission on after which a job must not start",
    "max_attempts": "Instead of what the type's policy says",
    "timeout_s": "Seconds for one attempt, instead of what the type's policy says",
    "backoff": "Delays between attempts, instead of what the type's policy says",
    "tags": "Up to 16 short texts by name",
    "callback": "Which URL is called when something happens to a job",
    "unique": "Lets one job with the same key be there at a time",
    "description": "What it is for",
}

_API_KEY = {
    "id": "Id of the key, which is no secret",
    "name": "What it is for, in words",
    "tenant": "On whose behalf it acts; absent for `default`",
    "role": "Its role; absent where it has scopes of its own",
    "scopes": "What it may do",
    "created_at": "When it was made",
    "created_by": "Id of the key that made it, or `bootstrap`",
    "expires_at": "Until when it works",
    "last_used_at": "When it was used last, at the grain of a minute",
    "successor": "Id of the key that takes its place",
    "revoked_at": "When it was revoked; only in the answer to that",
    "types": "Patterns of the job types that it is for; empty for all",
    "networks": "Networks from which it works; empty for all",
    "limits": "How often it may be used; what they leave out follows the settings of ingest",
}

_SESSION = {
    "id": "Id of the session, which is no secret",
    "key_id": "Id of the key that it was opened with; issuer and subject of a token",
    "name": "Name of that key, or of the person",
    "role": "Its role; absent where it has scopes of its own",
    "scopes": "What it may do",
    "created_at": "When it was opened",
    "expires_at": "Until when it works",
    "last_used_at": "When it was used last, at the grain of a minute",
    "ended_at": "When it was ended; only in the answer to that",
    "subject": "Subject of the token that it was opened with",
    "issuer": "Issuer of the token",
    "email": "Address of the person, where an ID token named one",
}

MODELS: Mapping[str, Model] = {
    "Submission": Model(
        "A job to be run. Only `type` is required, unless a `template` has it; what is left out, or null, follows the "
        "policy of the type.",
        {
            "type": _TYPE,
            "payload": "Any value, at most 256 KiB, 64 levels and 50,000 members of objects and arrays; checked by the "
            "type's schema when a worker has registered one",
            "priority": "Of the jobs of a type, those of a higher priority are taken more often. `normal` if left out",
            "key": f"{_KEY}. 1 to 255 bytes in UTF-8",
            "run_at": "Not before this time. Excludes `delay_s`",
            "delay_s": "Not before so many seconds from now. Excludes `run_at`",
            "expires_at": "Not after this time: an unstarted job then becomes `expired`. Excludes `expires_in_s`",
            "expires_in_s": "Not after so many seconds from now. Excludes `expires_at`",
            "max_attempts": "Instead of what the type's policy says",
            "timeout_s": "Seconds for one attempt, instead of what the type's policy says",
            "backoff": "Delays between attempts, instead of what the type's policy says",
            "tags": "Up to 16 short texts by name",
            "callback": "Which URL is called when something happens to the job",
            "unique": "Lets one job with the same key be there at a time, in place of what the handler declares",
            "after": "Ids of up to 1,000 jobs that have to succeed first. A delay counts from then",
            "after_failure": "When one of them does not: `wait` for a decision about a dead one, which may be "
            "redriven; `cancel` this job; or `run` it all the same. With `wait` too, a parent that was cancelled "
            "or has expired cancels it",
            "after_unknown": "A job in `after` that is not known makes the submission `unknown-parent` (`refuse`), or "
            "counts as done (`ignore`)",
            "template": "The template that says what is left out here. Of payloads that are objects both, the members "
            "of this one win",
        },
    ),
    "TemplateDefinition": Model("A template as it is put.", _TEMPLATE),
    "Template": Model("A template.", {**_TEMPLATE, "name": "Its name", "updated_at": "When it was put last"}),
    "TemplatePage": _page("templates"),
    "Callback": Model(
        "Which events of a job go to which URL, as a signed call with a CloudEvent.",
        {
            "url": "Where the calls go: https or http, and a public address",
            "events": "Which events. Those with which a job settles when left out",
        },
    ),
    "Role": Model("A named set of scopes."),
    "Scope": Model("What a key may do."),
    "NewApiKey": Model(
        "A key to be made, with a role or with scopes.",
        {
            "name": "What it is for, in words",
            "role": "A named set of scopes",
            "scopes": "Scopes in place of a role",
            "expires_in_s": "How many seconds it works; without an end when left out",
            "types": "Patterns of job types such as `email.*`, for which alone it works; all when left out",
            "networks": "Networks such as `10.0.0.0/8`, from which alone it works; all when left out",
            "tenant": "The tenant that it is for, where that is another than one's own",
            "limits": "How often it may be used; as the settings of ingest say when left out",
        },
    ),
    "ApiKeyChange": Model(
        "What changes of a key.",
        {"limits": "How often it may be used, all of it: what is left out follows the settings of ingest"},
    ),
    "RequestLimits": Model(
        "How often the API may be asked.",
        {
            "submissions_per_s": "Jobs that are submitted; each of a request with many counts",
            "burst": "How many of them may come at once; those of one second when left out",
            "requests_per_s": "Requests of every other kind; those of one second may come at once",
        },
    ),
    "KeyRotation": Model(
        "How a key gives way to its successor.",
        {"overlap_s": "How many seconds the old key still works; a day when left out"},
    ),
    "ApiKey": Model("A key of the API.", _API_KEY),
    "SecretApiKey": Model("A new key with its secret.", {**_API_KEY, "key": "The key, which is shown this once"}),
    "ApiKeyPage": _page("keys"),
    "NewSession": Model(
        "A session to be opened.",
        {
            "expires_in_s": "How many seconds it works; 12 hours when left out, and at most",
            "nonce_secret": "Only with an ID token: the text whose SHA-256, in base64url, is its `nonce`",
        },
    ),
    "Session": Model("A session.", _SESSION),
    "SecretSession": Model("A new session with its token.", {**_SESSION, "token": "The token, shown this once"}),
    "SessionPage": _page("sessions"),
    "AuditOutcome": Model("How an action of a principal ended."),
    "AuditRecord": Model(
        "One action of a principal, in the chain of its tenant.",
        {
            "id": "Sorts by the time of the action",
            "tenant": "On whose behalf",
            "at": "When the request came, by the clock of Redis",
            "action": "`operationId` of the route, or `authenticate` for a credential that was refused",
            "outcome": "`done`; `refused`, with nothing changed; `failed`; or `unknown`, where ingest ended before it "
            "could tell",
            "method": "Of the request",
            "target": "Path of the request",
            "made": "Path of what was made by it",
            "key_id": "Id of the key, or subject of the token; absent where no credentials are asked for",
            "session": "Id of the session that the key was signed in with",
            "issuer": "Issuer of the token",
            "key_name": "Name of the key",
            "role": "Role of the key",
            "address": "Address of the client, or of the proxy before ingest",
            "user_agent": "The client, as it says",
            "request_id": "The header `X-Request-Id`",
            "trace_id": "Trace of the request",
            "status": "HTTP status of the answer; absent for an unknown outcome",
            "problem": "What kind of problem a refusal was",
            "detail": "Why a credential or a principal was refused",
            "query": "Query of the request, without secrets",
            "asked": "Body of the request, without payloads, results and secrets",
            "changes": "Fields of the target that are not what they were, each with `before` and `after`",
            "seq": "Its number in the chain, from 1 without a gap",
            "previous": "The hash of the record before; empty for the first",
            "hash": "SHA-256 of the record without this field, as JSON with sorted keys and without spaces",
        },
    ),
    "AuditPage": _page("audit records"),
    "AuditLink": Model("The place of an audit record in its chain.", {"seq": "Its number", "hash": "Its hash, in hex"}),
    "AuditChain": Model(
        "Where a chain of audit records begins and ends.",
        {
            "tenant": "Whose it is",
            "cut": "The last record that its retention has dropped",
            "last": "The last record in the history",
            "head": "The last record as Redis has noted it, which the history cannot change",
        },
    ),
    "PrincipalInfo": Model(
        "Who asks.",
        {
            "tenant": "On whose behalf",
            "scopes": "What the credential may do",
            "role": "Its role; absent where it has scopes of its own",
            "key_id": "Id of the key, of a session too; absent for a token, its sessions, and where none is asked for",
            "name": "Name of the key or of the person, or the subject of the token",
            "expires_at": "Until when the credential works",
            "limits": "The limits of the key itself",
            "subject": "Subject of the token",
            "issuer": "Issuer of the token",
            "types": "Patterns of the job types that the key is for; empty for all",
            "networks": "Networks from which the key works; empty for all",
            "session_id": "Id of the session; absent for a request without one",
            "email": "Address of a person who has signed in with an ID token",
            "owner": "What `submitted_by` says of the jobs that it submits: the id of the first key in the line of "
            "successors, or a digest of the issuer and the subject of a token",
        },
    ),
    "TenantQuotas": Model(
        "The most that a tenant may have at once; what is absent has no limit of its own.",
        {
            "jobs_waiting": "Jobs that are queued, scheduled or blocked; counted now and then, so it is not exact",
            "jobs_running": "Jobs that run at once; others wait, and it is never exceeded",
            "payload_bytes": "Bytes of the payload of one job, as MessagePack",
            "schedules": "Schedules",
            "webhooks": "Endpoints of webhooks",
            "keys": "Keys of the API",
        },
    ),
    "NewTenant": Model(
        "A tenant to be made.",
        {
            "name": "Lower-case letters, digits, dots and hyphens; it stays for good",
            "title": "What it is called, in words",
            "quotas": "The most that it may have",
            "limits": "How often all of its keys together may ask",
            "encryption": _TENANT_ENCRYPTION,
        },
    ),
    "TenantChange": Model(
        "What changes of a tenant; what is left out stays.",
        {
            "title": "What it is called, in words",
            "quotas": "All of its quotas: one that is not given is removed",
            "limits": "How often all of its keys together may ask: a limit that is not given is removed",
            "encryption": f"{_TENANT_ENCRYPTION}. What is stored already stays as it is",
        },
    ),
    "TenantSuspension": Model("Why a tenant is suspended.", {"reason": "In words, which the tenant does not see"}),
    "TenantInfo": Model(
        "A tenant.",
        {
            "name": "Its name, which is in no id of a job",
            "title": "What it is called, in words",
            "state": "`active`; `suspended`, when it submits nothing and none of its jobs starts; `deleting`",
            "created_at": "When it was made; absent of the operator's own, `default`",
            "created_by": "Id of the key that made it",
            "changed_at": "When its state changed last",
            "reason": "Why it is suspended",
            "quotas": "The most that it may have",
            "limits": "How often all of its keys together may ask",
            "deletion": "Id of the operation that deletes it",
            "encryption": _TENANT_ENCRYPTION,
            "jobs_running": "How many of its jobs run now, where that has a quota; absent in lists",
        },
    ),
    "TenantEncryption": Model("Which jobs of a tenant are stored encrypted."),
    "TenantPage": _page("tenants"),
    "TenantState": Model("Whether a tenant may use Millstream."),
    "NewWebhook": Model(
        "An endpoint to be made.",
        {
            "url": "Where the calls go: https or http, and a public address",
            "types": "Job types, or patterns such as `email.*`. All when left out",
            "events": "Which events. Those with which a job settles when left out",
            "payloads": "Whether calls have the payload and the result of the job. False when left out",
            "description": "What it is for, in words",
        },
    ),
    "WebhookChange": Model(
        "What changes of an endpoint. What is left out, or null, stays.",
        {
            "url": "Where the calls go",
            "types": "Job types, or patterns",
            "events": "Which events",
            "payloads": "Whether calls have the payload and the result of the job",
            "description": "What it is for, in words",
        },
    ),
    "Webhook": Model("An endpoint: where events of jobs go.", _WEBHOOK),
    "SecretWebhook": Model(
        "An endpoint with its new secret.", {**_WEBHOOK, "secret": "With what the receiver verifies calls"}
    ),
    "NewOperation": Model(
        "What is to be done with many dead jobs. One of `q`, `ids` and `group` says which.",
        {
            "kind": "`redrive`: run them again, with attempts counted from zero; `discard`: cancel them for good; "
            "`patch`: change their payloads and run them again; `cancel`: end jobs that wait or run; `run-now`: "
            "make those ready that wait for a time; `priority`: let jobs that have not started go before or after "
            "others; `erase`: remove what is stored of jobs, also of those that are not dead; `export`: write them to "
            "a file, by one job of `data.export`",
            "q": "A search: its dead jobs are taken, to be cancelled, run now or given a priority those that have not "
            "settled, and to be erased or exported all; relative times count from now",
            "ids": "Ids of jobs",
            "group": "The jobs of a type that died in the same way",
            "rate": "Jobs a second",
            "canary": "A trial with the first jobs",
            "dry_run": "Count, and do nothing",
            "fresh": "Of the kinds `redrive` and `patch`: whether durable handlers begin anew, without their steps",
            "priority": "Of the kind `priority`: the one that the jobs are given",
            "patch": "Of the kind `patch`: what changes in each payload, as a JSON Merge Patch (RFC 7396): members are "
            "merged into objects, null removes one, everything else replaces what was there",
            "export": "Of the kind `export`: how the jobs are written",
        },
    ),
    "OperationGroup": Model(
        "The dead jobs of a type that died in the same way.",
        {"type": "Job type", "fingerprint": "What their deaths have in common, as the groups of dead jobs have it"},
    ),
    "Canary": Model(
        "A trial with the first jobs, which have to end well before the others follow.",
        {"count": "How many jobs", "max_failure": "The largest share of them that may die again"},
    ),
    "BulkOperation": Model(
        "An operation as it is now.",
        {
            "id": "Id of the operation",
            "kind": "What it does",
            "state": "Where it is: `canary` and `waiting` are the trial",
            "detail": "Why it is paused or has failed; of an export how far it is, and then where its file lies; of a "
            "deletion what it is at, and then what is left",
            "q": "The search that it was given; null once an erasure has ended",
            "group": "The group that it was given",
            "jobs": "How many ids it was given; null for a search or a group",
            "rate": "Jobs a second",
            "canary": "Its trial; null without one",
            "dry_run": "Whether it only counts",
            "fresh": "Whether durable handlers begin anew, without their steps",
            "created_at": "When it was asked for",
            "updated_at": "When it last moved",
            "finished_at": "When it ended",
            "found": "Jobs that it has looked at; of a deletion keys and rows",
            "done": "Jobs that it has acted on, or would; of a deletion keys and rows that it has removed",
            "refused": "Jobs that were not dead, or died after it was asked for",
            "failed": "Jobs of the trial that died again",
            "priority": "Which priority it gives",
            "patch": "What it changes in payloads",
            "export": "How it writes the jobs",
            "job_id": "The job that writes an export",
            "samples": "Of a dry run of a patch: what it would change in the first jobs",
            "refusals": "The first jobs that it has left alone, each with the reason",
            "eta_s": "Seconds until its end at this rate; null where the number of jobs is not known",
            "tenant": "Of the kind `delete-tenant`: the tenant that is deleted",
            "removed": "Of the kind `delete-tenant`: how many of what it has removed, such as `jobs`, `schedules`, "
            "`history_rows`",
        },
    ),
    "ExportOptions": Model(
        "How an export writes the jobs.",
        {
            "format": "Form of the file",
            "payloads": "Whether payload and result are written too",
            "name": "Start of the name of the file",
        },
    ),
    "OperationSample": Model(
        "What a patch would do to the payload of one job.",
        {"id": "Id of the job", "changes": "By what its payload would differ"},
    ),
    "PayloadChange": Model(
        "One value by which a patched payload differs from the one before.",
        {
            "pointer": "Where in the payload, as a JSON Pointer; empty for the payload as a whole",
            "kind": "What happens to the value",
            "before": "The value before; null for one that is added",
            "after": "The value then; null for one that is removed",
        },
    ),
    "OperationRefusal": Model(
        "A job that an operation has left alone.", {"id": "Id of the job", "reason": "Why it was left alone"}
    ),
    "BulkOperationPage": _page("operations"),
    "OperationState": Model("Where an operation is."),
    "WebhookSecret": Model(
        "The secret of an endpoint.",
        {"id": "Id of the endpoint, or `callbacks`", "secret": "With what the receiver verifies calls"},
    ),
    "WebhookPage": _page("endpoints"),
    "ScheduleDefinition": Model(
        "A schedule as it is put.",
        {
            **_RULES,
            "job": "The job that an occasion submits, with the rules of every submission. It has no time of its own "
            "but `expires_in_s`",
            "paused": "Whether it is paused from now on. Left out, a schedule that is there stays as it is",
        },
    ),
    "Schedule": Model(
        "A schedule as it is now.",
        {
            **_RULES,
            "name": "Name of the schedule",
            "state": "Where it is",
            "reason": "Why it is paused",
            "paused_at": "Since when it is paused",
            "owner": "`api` when it was put over the API, `code` when an app declares it",
            "app": "The app that declares it",
            "release": "The release that declared it last",
            "version": "Grows with every change; the `ETag`",
            "created_at": "When it was put first",
            "updated_at": "When it was changed last",
            "job": "The job that an occasion submits",
            "next": "When it fires next: five times, in a list one; none while it is paused",
            "last": "The last occasion that started a job; null before the first",
            "waiting": "Nominal time of the occasion that waits for the last job to end",
            "counts": "What became of its occasions",
            "error": "Why a job of it was refused last, or why it cannot be carried out",
        },
    ),
    "ScheduledJob": Model(
        "The job that an occasion submits.",
        {
            "type": _TYPE,
            "payload": "What the handler gets",
            "priority": "Which of the jobs of its type are taken more often",
            "key": _KEY,
            "expires_in_s": "Seconds from the occasion on after which it must not start",
            "max_attempts": "How many attempts it has",
            "timeout_s": "Seconds that an attempt may take",
            "backoff": "How long to wait before the next attempt",
            "tags": "Its tags, beside `schedule` and `scheduled_for`",
            "callback": "Where its events go",
            "unique": "Lets one job with the same key be there at a time",
        },
    ),
    "ScheduleCounts": Model(
        "What became of the occasions of a schedule.",
        {
            "fired": "Those that started a job",
            "skipped": "Those that started none, because the job of the one before had not ended",
            "missed": "Those that started none, because they were too late",
            "failed": "Those whose job was refused",
        },
    ),
    "LastOccasion": Model(
        "The last occasion that started a job.",
        {
            "nominal": "The time that the rule names",
            "job": _ID,
            "state": "Where the job is; null when it is not known any more",
        },
    ),
    "ScheduleState": Model("Where a schedule is. `orphan` is one that no live worker of its app declares any more."),
    "SchedulePage": _page("schedules"),
    "ScheduleOccasion": Model(
        "One occasion of a schedule.",
        {
            "nominal": "The time that the rule names",
            "fires_at": "When its job is submitted: later by the jitter",
        },
    ),
    "ScheduleOccasions": Model("The next occasions.", {"items": "Soonest first"}),
    "SchedulePreview": Model(
        "What a definition would make if it was put. Nothing is stored.",
        {
            "schedule": "Name of the schedule",
            "version": "Of the schedule that it would replace; null where there is none of this name",
            "state": "Where the schedule would be",
            "next": "Its next occasions, soonest first; of one that would be paused, as if it was resumed now",
        },
    ),
    "ScheduleRun": Model("A job that a schedule was made to start.", {"schedule": "Its name", "job": _ID}),
    "BackfillRequest": Model(
        "A range of time whose occasions are to run again.",
        {
            "from": "The range begins here",
            "to": "The range ends before this",
            "parallel": "How many of its jobs are under way at a time. 1 when left out",
            "dry_run": "Count the occasions and name the first ones, and start nothing",
        },
    ),
    "Backfill": Model(
        "A backfill as it is now.",
        {
            "id": "Id of the backfill; null for a dry run",
            "schedule": "Name of the schedule",
            "state": "Where it is",
            "from": "The range begins here",
            "to": "The range ends before this",
            "parallel": "How many of its jobs are under way at a time",
            "occasions": "How many occasions there are in the range",
            "started": "How many of them have started a job",
            "refused": "How many of their jobs were refused",
            "running": "Ids of its jobs that had not ended when it was looked at last",
            "created_at": "When it was asked for",
            "finished_at": "When it ended",
            "first": "Of a dry run: the first twenty occasions",
        },
    ),
    "BackfillState": Model("Where a backfill is. `planned` is that of a dry run."),
    "BackfillPage": Model("The backfills of a schedule.", {"items": "Latest first"}),
    "WorkflowSubmission": Model(
        "A graph of jobs.",
        {
            "name": "What it is called in lists and traces",
            "nodes": "Its nodes by their names, which have letters, digits, `.`, `_` and `-`",
            "on_failure": "What a dead node does to the others: those that do not wait for it run (`wait`, when left "
            "out), or are cancelled (`cancel`)",
            "result": "What the workflow answers at its end: a value that may have references, as a payload has",
            "retention_s": "How long it can be read and run again after its end, in seconds. A day when left out. The "
            "history has it for longer",
        },
    ),
    "NodeSubmission": Model(
        "A node of a workflow: one job, or one for each item of a list.",
        {
            "type": _TYPE,
            "payload": 'What the handler gets. `{"$result": <node>}` in it stands for the result of a node; `path`, a '
            "JSON pointer, for a part of it; `default` stands in for what is not there. "
            '`{"$item": <JSON pointer>}` stands for the item of a node with `map`. What is in `{"$literal": …}` is '
            "taken as it is",
            "map": "A reference to a list: the node has a job for each item, and its result is the list of theirs",
            "max_failures": "How many jobs of a node with `map` may fail so that it still succeeds; their results are "
            "null",
            "after": "Nodes that it waits for without their results",
            "after_failure": "What becomes of it when one of those before it does not succeed: it waits for a decision "
            "(`wait`, when left out), is cancelled (`cancel`), or runs all the same (`run`)",
            "optional": "Whether the workflow succeeds although this node does not",
            "priority": "Which of the jobs of its type are taken more often",
            "key": _KEY,
            "delay_s": "Seconds from when those before it have ended, before which it must not start",
            "expires_in_s": "Seconds from then after which it must not start",
            "max_attempts": "How many attempts its job has",
            "timeout_s": "Seconds that an attempt may take",
            "backoff": "How long to wait before the next attempt",
            "tags": "Tags of its job",
        },
    ),
    "WorkflowAccepted": Model(
        "A workflow that is stored.",
        {
            "id": "Id of the workflow",
            "state": "Where it is",
            "counts": "How many nodes are in which state",
            "nodes": "The id that the job of each node will have, without nodes with `map` and those whose "
            "partition follows from results",
        },
    ),
    "WorkflowStatus": Model(
        "A workflow as it is now.",
        {
            "id": "Id of the workflow",
            "name": "What it is called",
            "state": "Where it is",
            "counts": "How many nodes are in which state",
            "created_at": "When it was submitted",
            "finished_at": "When it ended",
            "run": "Grows with each rerun",
            "on_failure": "What a dead node does to the others",
            "retention_s": "How long it can be read after its end, in seconds",
            "result": "Its result, once it has succeeded; null in lists",
            "reason": "Why it failed or was cancelled, or has no result",
            "trace_id": "Finds the workflow in traces; null when it is not traced",
            "source": "`history` of one that Redis has forgotten; else `live`",
            "submitted_by": "Who has submitted it, as of a job",
        },
    ),
    "WorkflowState": Model(
        "Where a workflow is. `stalled` is one in which nothing runs, and a dead node keeps others waiting."
    ),
    "WorkflowPage": Model(
        "A page of a list of workflows.",
        {
            "items": "The workflows of this page",
            "next_cursor": _CURSOR,
            "complete": "`false` when the history could not be read: workflows that only it has are missing",
        },
    ),
    "WorkflowNode": Model(
        "A node as it is now.",
        {
            "name": "Its name",
            "type": _TYPE,
            "state": "Where it is",
            "after": "The nodes that it waits for, by reference or by `after`",
            "waits_for": "Those of them that keep it from starting, the dead ones first",
            "job": "Id of its job; null before it is started, and for a node with `map`",
            "reason": "Why it is dead or cancelled, where its job does not say",
            "optional": "Whether the workflow succeeds although this node does not",
            "items": "Of a node with `map`: what became of its jobs",
            "started_at": "When it could start, in its last run: those before it had ended. Null while it waits",
            "finished_at": "When its workflow learned of its end",
            "inputs": "The results to which it refers; null without `results=1`, and for workflows that "
            "an earlier release has put into the history",
        },
    ),
    "NodeInput": Model(
        "A result that a node takes.",
        {
            "node": "The node whose result it is",
            "result_bytes": "How large it is, in MessagePack; null while there is none",
        },
    ),
    "NodeState": Model(
        "Where a node is. `starting` is one whose job is about to be stored, `started` one whose job is."
    ),
    "NodeItems": Model(
        "The jobs of a node with `map`.",
        {
            "total": "How many items the list has; null until it is known",
            "counts": "How many of them are in which state",
        },
    ),
    "WorkflowNodePage": Model(
        "A workflow with a page of its nodes.",
        {
            "workflow": "The workflow",
            "nodes": "The nodes of this page, in the order of the submission",
            "next_cursor": _CURSOR,
        },
    ),
    "RerunRequest": Model(
        "Which nodes run again, with all behind them. Exactly one of the two is given.",
        {"from": "Names of nodes", "failed": "All that are dead, cancelled or expired"},
    ),
    "OpenIncident": Model(
        "What is wrong for so long that people are told.",
        {
            "rule": "Which kind of condition: `dead-letters`, `no-worker`, `history-behind`, `partitions-missing`, "
            "`schedule-late`, `webhook-disabled`, `breaker-open`",
            "about": "What it is about, such as a job type; empty for the installation as a whole",
            "summary": "What is wrong, in a sentence",
            "opened_at": "Since when",
            "notices": "How many notices were sent",
        },
    ),
    "OpenIncidentPage": _page("incidents"),
    "JobEvent": Model("What happens to a job."),
    "BackoffOptions": Model(
        "How long to wait before the next attempt: `base_s`, grown with each attempt by `kind`, at most `cap_s`.",
        {
            "kind": "How the delay grows. `exponential` when left out",
            "base_s": "Seconds before the second attempt. 1 when left out",
            "cap_s": "The longest delay in seconds. 600 when left out",
            "jitter": "Whether the delay is drawn between zero and the one computed. True when left out",
        },
    ),
    "BatchSubmission": Model(
        "Jobs that are followed together.",
        {
            "name": "What it is called in lists and traces",
            "jobs": "Its first members. When one is refused, nothing is stored",
            "open": "Whether it takes more members, until it is closed. False when left out",
            "on_success": "The job to run once it is closed and every member has succeeded, perhaps after a redrive. "
            "Its times count from then",
            "on_complete": "The job to run once it is closed and every member has settled; a dead one has",
            "on_death": "The job to run when the first member is dead",
            "expires_in_s": "Seconds after which it closes itself. Seven days when left out",
            "retention_s": "How long it can be read after its end, in seconds. A day when left out",
        },
    ),
    "BatchStatus": Model(
        "A batch as it is now.",
        {
            "id": "Id of the batch",
            "name": "What it is called",
            "state": "Where it is",
            "total": "How many members it has",
            "counts": "How many members are in which state",
            "callbacks": "The jobs that run because of it, by event",
            "created_at": "When it was made",
            "expires_at": "When it closes itself; null once it is closed",
            "finished_at": "When it ended",
            "retention_s": "How long it can be read after its end, in seconds",
            "reason": "Why it was cancelled; `expired` when it has closed itself",
            "trace_id": "Finds the batch in traces; null when it is not traced",
            "submitted_by": "Who has submitted it, as of a job",
        },
    ),
    "BatchState": Model(
        "Where a batch is. `stalled` is one that is closed, and in which every member has settled and some are dead: "
        "when these are redriven, it goes on. `failed` has ended, and not every member has succeeded."
    ),
    "MemberState": Model(
        "Where a member is. `pending` waits or runs; `cancelled` was cancelled, discarded or deleted."
    ),
    "BatchEvent": Model("What a batch runs a job for."),
    "BatchCallbackStatus": Model(
        "A job that runs because of a batch.",
        {
            "job": "The id that it has, or will have",
            "fired": "Whether its event has happened",
            "submitted": "Whether the job is stored, a moment later",
            "reason": "Why it was refused when its event happened",
        },
    ),
    "BatchPage": _page("batches"),
    "BatchMember": Model("A member of a batch.", {"job": "Id of its job", "state": "Where it is"}),
    "BatchMemberPage": _page("members"),
    "Batch": Model("Many submissions in one request.", {"jobs": "The submissions; each is checked for itself"}),
    "Priority": Model("Which jobs of a type are taken more often."),
    "JobState": Model(
        "Where a job is. `succeeded`, `cancelled` and `expired` are ends; a `dead` job waits for a decision."
    ),
    "Job": Model(
        "A job. All fields are always there; times are RFC 3339 in UTC.",
        {
            "id": _ID,
            "type": _TYPE,
            "state": "Where the job is",
            "priority": "As it was submitted",
            "key": "What it is grouped by; null without a key, and in the history, which does not have it",
            "version": "Grows with every transition; the `ETag`",
            "attempts": "Runs of the handler that ended in success or failure",
            "max_attempts": "What the submission asked for; null when the type's policy decides",
            "deliveries": "Hand-overs to a worker, whatever came of them",
            "crashes": "Deliveries whose worker vanished",
            "handbacks": "Deliveries returned at a shutdown; they cost the job nothing",
            "created_at": "When it was submitted",
            "after": "The jobs that it waits for, or has waited for; null where its submission named none",
            "after_failure": "What becomes of it when one of them does not succeed",
            "because_of": "The one of them by which it was cancelled, or is dead",
            "waiting_for": "The signal that its durable handler waits for; null when it waits for none",
            "run_at": "When it is due next; null when it is not waiting for a time",
            "expires_at": "Until when it has to have started",
            "started_at": "When the last delivery began",
            "finished_at": "When it ended",
            "worker": "The worker that runs it now, or ran it last",
            "cancel_requested": "Whether a running job has been asked to stop",
            "progress": "How far its handler says it is",
            "payload": "What was submitted; null in lists",
            "result": "What its handler returned; null in lists, and before it has succeeded",
            "error": "Of the last failed attempt, also after a later success",
            "reason": "Why it was cancelled or is dead",
            "tags": "As they were submitted",
            "timeout_s": "What the submission asked for; null when the type's policy decides",
            "trace_id": "Finds the job in traces and logs; null when it is not traced",
            "schedule": "The schedule that has submitted it",
            "scheduled_for": "The nominal time of the occasion of that schedule",
            "workflow": "Id of the workflow of which it runs a node",
            "batch": "Id of the batch of which it is a member, or whose event it runs for",
            "batch_event": "The event of that batch for which it runs; null for a member",
            "unique": "The unique key that it holds, or has held",
            "source": "`live`, or `history` once Redis has forgotten the job: then it can only be read",
            "encrypted": "Whether what it carries is stored encrypted",
            "submitted_by": "Who has submitted it, as `owner` of `GET /v1/me` says it; of a job that a handler, a "
            "batch or a workflow has made, who has submitted that. Absent where that is not known",
            "fresh": "False in a search when Redis was not asked how the job is now: it may have gone on",
        },
    ),
    "Stats": Model(
        "Statistics of one job type, or of all.",
        {
            "from": "Begin of the first step",
            "to": "End of the last step",
            "step_s": "Seconds of each step",
            "points": "What happened in each step, also where nothing did, oldest first",
            "gaps": "Times of which events were lost: the points in them show too little",
            "releases": "Releases whose first worker was seen in this time, of any types, without the oldest of all",
        },
    ),
    "StatRelease": Model(
        "When a release came.",
        {"at": "When its first worker was seen", "release": "What its workers say of it (`MILLSTREAM_CODE_VERSION`)"},
    ),
    "StatGap": Model("A time of which events were lost.", {"from": "Its begin", "to": "Its end"}),
    "StatPoint": Model(
        "What happened in one step. Durations are exact to nine per cent.",
        {
            "at": "Begin of the step",
            **_COUNTS,
        },
    ),
    "StatsByType": Model(
        "Statistics of each type of which something happened, the busiest first.",
        {
            "from": "Begin of the first step",
            "to": "End of the last step",
            "step_s": "Seconds of each step",
            "items": "The types",
            "complete": "False when there are more types than `limit`",
            "gaps": "Times of which events of any type were lost: the numbers of them are too low",
        },
    ),
    "TypeStats": Model(
        "What happened to the jobs of one type in all of the time. Durations are exact to nine per cent.",
        {
            "type": "The job type",
            **_COUNTS,
            "submitted_by_step": "Jobs that were submitted, a number a step",
            "ended_by_step": "Jobs that succeeded or died, a number a step",
            "failed_by_step": "Attempts that failed, a number a step",
        },
    ),
    "Timeline": Model(
        "What is known of the life of a job.",
        {
            "id": _ID,
            "items": "Its transitions, in order",
            "attempts": "Its deliveries to workers, in order",
            "complete": "Whether no transition is missing",
        },
    ),
    "TimelineItem": Model(
        "One transition of a job.",
        {
            "at": "When it happened",
            "kind": "What happened: `submitted`, `started`, `retrying`, `succeeded` and so on",
            "state": "The state that it led to",
            "version": "Number of the transition, from 1",
            "worker": "The worker that did it",
            "detail": "Reason of a death or a cancellation",
        },
    ),
    "TimelineAttempt": Model(
        "One delivery of a job to a worker.",
        {
            "n": "Number of the delivery, from 1",
            "started_at": "When it began",
            "waited_ms": "Milliseconds from ready to the start; null where that is not known",
            "ran_ms": "Milliseconds from the start to the end; null while it runs",
            "outcome": "The transition that ended it, such as `succeeded`, `retrying`, `dead` or `recovered`; "
            "`running` until then, `unknown` where that transition is missing",
            "worker": "The worker that ran it",
            "error": "Why it failed, with the traceback",
            "trace_id": "Finds the attempt in traces and logs; null when it is not traced",
            "logs": "Its last log lines, the oldest first; null where none are kept of it, and without `logs=1`",
            "logs_left_out": "Lines before these that were not kept",
        },
    ),
    "LogLine": Model(
        "One log line of an attempt.",
        {
            "at": "When it was written, by the clock of that machine",
            "level": "`debug`, `info`, `warning`, `error` or `critical`",
            "message": "The line without its fields; a long one is cut",
            "fields": "What else the line has, each value as text",
        },
    ),
    "Progress": Model(
        "How far a running handler says it is.",
        {
            "percent": "From 0 to 100",
            "note": "What it is doing, in its words",
            "encrypted": "Whether the note is stored encrypted: there is none without the right to read it",
            "sealed": "The note, encrypted, where it is not shown",
        },
    ),
    "JobDependencies": Model(
        "What a job waits for, or has waited for, and what waits for it.",
        {
            "id": _ID,
            "after": "The jobs that its submission named",
            "children": "Jobs that wait for it, a hundred at most",
            "children_total": "How many jobs wait for it",
        },
    ),
    "JobExplanation": Model(
        "Why a job is where it is.",
        {"id": _ID, "state": "Where it is", "reasons": "What keeps it there; what a person has to decide is first"},
    ),
    "Reason": Model(
        "One reason.",
        {
            "code": "What kind of reason",
            "detail": "A sentence for people",
            "job": "The job for which it waits",
            "at": "When it goes on by itself, as far as that is known",
        },
    ),
    "ReasonCode": Model(
        "What keeps a job from running: another job (`parent`), one that is dead (`parent-dead`), a time, a signal, a "
        "suspended tenant, a paused queue, the quota of its tenant, a limit, a circuit breaker, a handler that holds "
        "the type or the key back (`held`), that no worker handles its type, or that others are before it. "
        "`running`, `dead` and `ended` say that it does not wait."
    ),
    "JobSteps": Model(
        "What a durable handler has behind it.",
        {
            "id": _ID,
            "waiting_for": "The signal that it waits for; null when it waits for none",
            "steps": "What it has stored, the oldest first",
            "kept_signals": "The names of the signals that it has not taken yet, the oldest first",
        },
    ),
    "JobStep": Model(
        "A step of a durable handler.",
        {
            "name": "As its handler names it; `#2` follows the name of its second step of a name",
            "kind": "`step`, what a function has given; `slept`; `signal`, which it has taken; `timeout`, none came; "
            "`call`, the results of jobs; `wait` and `calling`, it goes on",
            "saved_at": "When it was stored",
            "version": "As its handler says; null where it says none",
            "size_bytes": "Of what it has given, encoded",
            "until": "Until when a wait goes on; null for one without an end",
        },
    ),
    "SignalReceipt": Model(
        "What has become of a signal.",
        {
            "id": _ID,
            "name": "The name of the signal",
            "outcome": "`delivered`: the job waited for it, and goes on; `kept` until it waits for it; `replayed`: an "
            "earlier request with this key has sent it",
        },
    ),
    "RelatedJob": Model(
        "A job by its id, and how it is now.",
        {
            "id": _ID,
            "state": "Where it is; null when it is not known any more",
            "blocks": "Whether the job that was asked about goes on waiting for this one",
        },
    ),
    "JobStack": Model(
        "Where the handler of a running job was at one moment.",
        {
            "id": _ID,
            "attempt": "Number of the attempt that runs, from 1",
            "worker": "Who runs it",
            "stack": "The frames of users' code as text, outermost first, without variables; empty when there are none",
        },
    ),
    "JobError": Model(
        "Why an attempt failed.",
        {
            "type": "Name of the error, or what stood in for one: `timeout`, `crashed`, `lost`",
            "message": "What the error says",
            "fingerprint": "Equal for errors of the same type raised at the same place, whatever their message",
            "encrypted": "Whether message and traceback are stored encrypted: empty without the right to read them",
            "sealed": "Message and traceback, encrypted, where they are not shown",
            "traceback": "Where it was raised",
            "attempt": "Number of the attempt that failed",
            "traceparent": "The attempt's span (W3C Trace Context)",
        },
    ),
    "JobPage": Model(
        "A page of a list of jobs, or of a search in the history.",
        {
            "items": "The jobs of this page",
            "next_cursor": _CURSOR,
            "searched_until": "Of a search: down to which time of submission it has looked; null when it has looked at "
            "all that there is",
            "complete": "Of a search: false when its time was over before the page was full. The next page goes on; an "
            "empty page does not say that there is nothing",
            "history_lag_s": _LAG,
            "count": "Of a search with `count=1`: how many jobs there are on all pages",
            "hint": "Of a search: why it probably finds nothing",
        },
    ),
    "JobCount": Model(
        "How many jobs a search finds.",
        {
            "value": "The number",
            "relation": "`exact`; `~`, about so many; or `at_least`",
        },
    ),
    "DeadLetterPage": _page("dead letters"),
    "QueueStatusPage": _page("queues"),
    "TypeRegistrationPage": _page("job types"),
    "WorkerInfoPage": _page("workers"),
    "BatchReceipt": Model(
        "What became of a batch.",
        {
            "accepted": "How many of the jobs are stored",
            "rejected": "How many are not",
            "items": "What became of each, in the order of the request",
        },
    ),
    "BatchItem": Model(
        "What became of one submission of a batch.",
        {
            "index": "Its place in the batch, from 0",
            "status": "As if it had been a request of its own: 202 accepted, 200 another job holds its unique key, 409 "
            "or 422 refused, 503 not stored",
            "id": "Id of its job; left out when it is refused",
            "replayed": "True when an earlier request with this `Idempotency-Key` had made the job",
            "unique_conflict": "True when nothing was stored, because the job of this id holds the unique key",
            "problem": "Why it is refused",
        },
    ),
    "DeadLetter": Model(
        "A job whose attempts or crashes are used up.",
        {
            "id": _ID,
            "type": _TYPE,
            "reason": "`attempts`, `crashed`, or what its handler said",
            "fingerprint": "Of the last error: equal for errors raised at the same place",
            "died_at": "When it died",
            "attempts": "Runs of the handler that ended in success or failure",
            "crashes": "Deliveries whose worker vanished",
            "error": "Of the last failed attempt",
        },
    ),
    "DeadGroups": Model(
        "Groups of dead jobs, the largest first.",
        {
            "items": "The 200 largest groups",
            "complete": "False when there was no time to count in all of the range: then it is that of the last day",
            "history_lag_s": _LAG,
        },
    ),
    "DeadGroup": Model(
        "Dead jobs of one type that have died of the same.",
        {
            "type": _TYPE,
            "fingerprint": "Of their errors, or `reason:` and why they are dead without one",
            "count": "How many there are",
            "first_seen": "When the oldest of them was submitted",
            "last_seen": "When the newest of them was submitted",
            "sample": "The newest of them",
            "error_type": "Type of the error of the sample; null without one",
            "message": "What that error says",
            "place": "The line of users' code where it was raised; null where that is not known",
            "last_died_at": "When one of them last died, as far as that is known",
            "trend": "How many died in each of the last 24 hours, the present one last, of those that were submitted "
            "in the last two days; null when there was no time to count",
            "live": "With `live=1`: how many failed in the same way and have not ended, of the newest 300 of seven "
            "days; null when there was no time to count",
            "first_release": "With `releases=1`: the release of the worker on which the oldest of them died; null "
            "where that is not known",
            "last_release": "The same of the newest of them",
        },
    ),
    "DeadSample": Model("The newest job of a dead group.", {"id": _ID, "error": "Of its last failed attempt"}),
    "Facets": Model(
        "What the jobs that a search finds have in common.",
        {
            "items": "The fields, each with its most frequent values; one of which no job has a value is left out",
            "count": "How many jobs were looked at: the newest, or all",
            "complete": "Whether these are all that the search finds: then every count is exact",
            "history_lag_s": _LAG,
        },
    ),
    "Facet": Model(
        "The most frequent values of one field.",
        {
            "field": "As queries name it: `state`, `type`, `worker`, `fingerprint` or `tag.<name>`",
            "values": "The values, the most frequent first, at most ten",
        },
    ),
    "FacetValue": Model(
        "One value of a field, and how many jobs have it.",
        {
            "value": "The value",
            "label": "Of a fingerprint the type of the error; null of others",
            "place": "Of a fingerprint the line of users' code where the error was raised; null where it is not known",
            "count": "How many of the jobs have it; where `q` has a condition on the field, of those without it",
            "relation": "`exact`, or `at_least`",
            "is_selected": "Whether `q` asks for this value",
            "q": "The query for this value in the place of others of its field, or without it where it is asked for. "
            "Null where no query can say that",
        },
    ),
    "ErrorPlace": Model(
        "A line of a source file.",
        {"file": "The last two parts of its path", "line": "Its number", "function": "The function that it is in"},
    ),
    "SearchHints": Model(
        "The ways to go on with a query.",
        {
            "replace": "The part of the query that a hint replaces: its first character, and the one after it",
            "items": "The hints, the best first",
        },
    ),
    "SearchHint": Model(
        "One way to go on with a query.",
        {"text": "What to put in place of that part", "note": "What it is, for people"},
    ),
    "DeadLetterAction": Model(
        "Which dead letters to act on: either `ids` or `type`.",
        {
            "ids": "Job ids. Excludes `type`",
            "type": "A job type: the newest `limit` of its dead letters. Excludes `ids`",
            "limit": "Most dead letters of the `type` to act on. 1,000 when left out",
        },
    ),
    "ActionReport": Model(
        "What became of dead letters.",
        {
            "done": "How many were acted on",
            "refused": "How many were not",
            "items": "What became of each, in the order of `ids`",
        },
    ),
    "ActionResult": Model(
        "What became of one dead letter.",
        {
            "id": _ID,
            "status": "As if it had been a request of its own: 202 done, 404 no such job, 409 wrong state",
            "detail": "Why it was not acted on",
        },
    ),
    "QueueStatus": Model(
        "How much of a job type waits, runs and is dead.",
        {
            "type": _TYPE,
            "partitions": "Over how many queues the jobs are spread",
            "queued": "Ready jobs by priority",
            "parked": "Those of them that a limit holds back",
            "running": "Jobs that workers run now",
            "scheduled": "Jobs that wait for a time",
            "blocked": "Jobs that wait for other jobs",
            "dead": "Dead letters",
            "paused": "Whether workers take no jobs of the type",
            "breaker": "State of its circuit breaker; null without one",
            "breaker_opened": "How often its circuit breaker has opened",
            "held_until": "Up to when a handler holds the type back; null when none does",
            "oldest_ready_age_s": "For how long the longest-waiting ready job has been ready; 0 when none waits",
            "oldest_dead_age_s": "Age of the oldest dead letter; 0 when there is none",
        },
    ),
    "NewPriority": Model("The priority that a job is given.", {"priority": "Which jobs of its type start first"}),
    "QueueLimits": Model(
        "The limits of the jobs of a type, over all workers together. At least one of its fields.",
        {
            **_STARTS,
            "per_key": "The same for the jobs of each key",
            "weights": "How many starts keys get, while several wait, for one of a key that is not named: 0.01 to 100, "
            "of up to 100 keys",
            "fair": "Whether keys take turns where nothing else is limited. Wherever anything is, they do",
            "cap": "How many may wait, be scheduled or run before submissions of clients are refused (`backlog-full`)",
            "breaker": "When jobs are held back because too many attempts fail",
        },
    ),
    "Breaker": Model(
        "When the jobs of a type are held back because too many attempts fail, and when they are tried again.",
        {
            "ratio": "The share of attempts that have failed, at which it opens",
            "window_s": "The attempts of the last so many seconds are counted",
            "minimum": "With fewer attempts it does not open",
            "cool_down_s": "Seconds for which it is open at first; twice as long each time that a probe fails",
            "cap_s": "Seconds for which it is open at most",
            "probes": "How many jobs are then tried at once, and have to succeed for it to close",
        },
    ),
    "BreakerState": Model("Whether a circuit breaker lets jobs start; `forced-open`: until an operator closes it."),
    "BreakerStatus": Model(
        "What a circuit breaker does now.",
        {
            "state": "Whether it lets jobs start",
            "since": "When it opened",
            "until": "When jobs are tried again, while it is open",
            "failed": "How many of the attempts for which it opened had failed",
            "attempts": "The attempts for which it opened",
            "succeeded": "Probes that have succeeded since it is half-open",
            "probing": "Probes that run",
            "reason": "Why an operator opened it",
            "in_a_row": "How often it has opened without closing between",
        },
    ),
    "KeyLimits": Model(
        "The limits of the jobs of each key. Jobs without a key have none of them. At least one of `concurrency`, "
        "`rate` and `cap`.",
        {
            **_STARTS,
            "cap": "How many may wait or run before submissions of clients are refused (429 `key-backlog-full`)",
        },
    ),
    "QueueKey": Model(
        "A key with jobs in a queue with limits.",
        {
            "key": "The key; absent for the jobs without one",
            "parked": "Jobs that wait for their turn; of more than a thousand about so many",
            "in_flight": "Jobs that run, or that a worker is about to be given",
            "weight": "How many starts it gets, while several keys wait, for one of a key without a weight",
            "free_at": "When its rate lets one more start; absent where it does now",
            "held_until": "Up to when a handler holds the key back; absent when none does",
        },
    ),
    "QueueKeyPage": _page("keys"),
    "QueueSettings": Model(
        "What operators have set of a queue.",
        {
            "type": _TYPE,
            "paused": "Whether workers get no jobs of the type",
            "paused_at": "Since when",
            "pause_reason": "Why",
            "limits": "Its limits, if it has any",
            "limits_set_at": "When they were set",
            "limits_source": "Who has set them: an operator, or the handler of the type, which declares them",
            "declared": "The limits that the handler declares. They hold where no operator has set others",
            "breaker": "What its circuit breaker does now; null without one",
            "held_until": "Up to when a handler holds the type back, so that no job of it starts",
            "held_by": "The job whose handler asked for that",
            "keys_held_until": "Up to when handlers hold keys of the type back, the last of them",
        },
    ),
    "Demand": Model(
        "How many workers there should be for some job types, and why.",
        {
            "queued": "Ready jobs; without those of paused queues, and those that a limit would hold back from idle "
            "workers",
            "running": "Jobs that a worker has, also one that has died: they become ready when their lease is over",
            "due_soon": "Delayed jobs and retries that are due within a minute (`MILLSTREAM_DUE_SOON_S`)",
            "oldest_ready_age_s": "How long the longest-waiting ready job has been ready, in seconds",
            "slots": "Jobs that the live workers of these types can run at once",
            "wanted_workers": "Workers that have a slot for each of these jobs; 1, however many jobs there are, while "
            "no worker lives",
        },
    ),
    "TypeRegistration": Model(
        "A job type as the workers that handle it describe it.",
        {
            "type": "The job type",
            "policy": "What holds for its jobs unless their submission says otherwise",
            "payload_schema": "JSON Schema 2020-12 of the payload; null when the handler takes anything",
            "result_schema": "JSON Schema 2020-12 of the result; null when it is not known",
            "description": "What the handler does, in its words",
            "handler": "Where the handler is, for people",
            "code_version": "Release of the workers",
        },
    ),
    "UniqueOptions": Model(
        "How a job is unique. A job that holds a key keeps others with it out until it frees that.",
        {
            "key": "What makes two jobs of the type the same. Left out, the fields of the payload that the handler "
            "declares, or the whole payload",
            "scope": "How long it holds the key: until its first delivery (`queued`), until it has ended (`running`), "
            "or for `window_s` from its submission unless it fails (`window`)",
            "window_s": "Seconds, with the scope `window`. The result of the job can be read for as long",
            "on_conflict": "What becomes of this job while another one holds the key: that one is returned, with the "
            "status 200 (`return`); this one is refused (`reject`); or it cancels that one and takes the key, unless "
            "that one has started (`replace`)",
        },
    ),
    "UniqueRule": Model(
        "Which jobs of a type are unique.",
        {
            "fields": "The fields of the payload that make the key, such as `customer.id`; none for the whole payload",
            "scope": "How long a job holds its key, as in a submission",
            "window_s": "Seconds, with the scope `window`",
            "on_conflict": "What becomes of a job whose key another one holds, as in a submission",
        },
    ),
    "JobUnique": Model(
        "The unique key of a job.",
        {
            "key": "The key; the beginning of a long one. Of a job that is stored encrypted `keyed:` and a keyed hash",
            "scope": "How long it holds the key, as in a submission",
            "until": "With the scope `window`: until when",
        },
    ),
    "TypePolicy": Model(
        "How jobs of a type are tried and kept.",
        {
            "max_attempts": "After how many failed attempts a job is dead",
            "timeout_s": "Seconds for one attempt; null when there is no limit",
            "backoff": "Delays between attempts",
            "delays_s": "Seconds before the second attempt, the third and so on, in place of the backoff; the last one "
            "repeats. Null when the backoff holds",
            "on_dead": "Type of the job that is submitted for each dead letter of the type; null without one",
            "result_ttl_s": "For how many seconds a finished job can be read",
            "partitions": "Over how many queues the jobs are spread",
            "logs": "Of which attempts the history has the last log lines",
            "compress": "Whether large payloads and results may be compressed in Redis",
            "encrypted": "Whether what its jobs carry is stored encrypted",
            "keeps": "What the history stores of the jobs; `failures` are those that failed, from the first failure on",
            "unique": "Which of these jobs are unique, and for how long; null where any number may be the same",
            "key": "Where in the payload the key of a job stands that has none of its own: names of fields with dots "
            "between them; null where keys are not in payloads",
            "gathers": "Of a type with a batch handler: how many of its jobs one call takes. Null for other types",
        },
    ),
    "Gathering": Model(
        "How a worker gathers jobs for one call of a batch handler.",
        {
            "size": "The most jobs of one call",
            "wait_s": "For how many seconds the first job waits for others",
        },
    ),
    "Backoff": Model(
        "How long to wait before the next attempt: `base_s`, grown with each attempt by `kind`, at most `cap_s`.",
        {
            "kind": "How the delay grows",
            "base_s": "Seconds before the second attempt",
            "cap_s": "The longest delay in seconds",
            "jitter": "Whether the delay is drawn between zero and the one computed",
        },
    ),
    "WorkerInfo": Model(
        "A worker, as its last heartbeat described it.",
        {
            "name": "New at each start",
            "types": "The job types that it handles",
            "concurrency": "How many jobs it runs at once",
            "tenants": "The tenants whose jobs it takes; empty: every tenant",
            "running": "What it runs: at most the 100 that have run longest",
            "busy": "How many jobs it runs",
            "started_at": "When it first registered",
            "seen_at": "When its last heartbeat came",
            "version": "Its release",
            "state": "`active`, or `draining` after an order to stop",
            "host": "The machine or container that it runs on; empty of an older release",
            "rss_bytes": "Memory of the worker itself, without its handler processes; null of an older release",
            "loop_lag_ms": "The longest time since the heartbeat before for which its event loop did not get to what "
            "was due; null where the loop is not watched (`MILLSTREAM_BLOCKED_LOOP_S=0`)",
        },
    ),
    "System": Model(
        "How the installation fares.",
        {
            "looked_at": "When it was looked at",
            "checks": "What was looked at, by part of the system, the worst of each first",
            "redis": "The Redis; null while it cannot be asked",
            "history": "The history database; null without one, and while it cannot be asked",
            "encryption": "The keys by which jobs are stored encrypted; null where nothing is encrypted and this "
            "ingest has no keys, and while it cannot be asked",
            "processes": "The live processes of services",
        },
    ),
    "EncryptionStatus": Model(
        "The keys by which jobs are stored encrypted, as the ingest that answers has them; at most a minute old.",
        {
            "encrypts": "`MILLSTREAM_ENCRYPT` of this ingest: `declared`, the jobs of types that say so, or `all`",
            "keys": "The present key-encryption key, and those that wrap data keys, by id",
            "tenants": "Tenants all of whose jobs are stored encrypted, whatever their types say",
        },
    ),
    "KeyEncryptionKey": Model(
        "A key that wraps data keys. Nothing of the key itself is shown.",
        {
            "id": "Its id",
            "is_current": "Whether this ingest wraps new data keys by it",
            "is_known": "Whether this ingest has it, so that it opens what the key wraps",
            "data_keys": "How many data keys are wrapped by it",
        },
    ),
    "SystemCheck": Model(
        "One thing that was looked at.",
        {
            "name": "The part of the system: `redis`, `history`, `services`, `duties` or `encryption`",
            "status": "`ok`; `warn`, it could be better; `bad`, it must change",
            "detail": "What was found",
            "fix": "The command that mends it, where one does",
        },
    ),
    "RedisStatus": Model(
        "The Redis behind the address.",
        {
            "mode": "`single`, `sentinel` or `cluster`",
            "is_suitable": "Whether jobs are safe on it",
            "servers": "Its servers, primaries first",
            "round_trip_ms": "How far away it is, in milliseconds",
            "clock_ahead_ms": "By how many milliseconds its clock is ahead of that of ingest",
        },
    ),
    "RedisServer": Model(
        "One server of Redis. What it hides is null.",
        {
            "address": "Host and port",
            "role": "`primary`, `replica` or `sentinel`",
            "unseen": "Why it could not be asked; then nothing else is known",
            "server": "`redis` or `valkey`",
            "version": "Its version",
            "uptime_s": "Seconds since its start",
            "used_bytes": "Memory that it uses",
            "max_bytes": "`maxmemory`; 0 without a limit",
            "maxmemory_policy": "What it does when memory is full; jobs are safe with `noeviction` alone",
            "evicted_keys": "Keys that were evicted since its start",
            "appendonly": "Whether it writes an AOF",
            "aof_writes_ok": "Whether the last write to the AOF went well",
            "snapshot_ok": "Whether the last snapshot went well",
            "online_replicas": "How many replicas are connected to it",
        },
    ),
    "HistoryStatus": Model(
        "The history database.",
        {
            "revision": "Revision of its tables",
            "release_revision": "The revision of this release",
            "lag_s": _LAG,
            "oldest_day": "The oldest day that has a partition",
            "newest_day": "The newest one",
            "size_bytes": "Size of tables and indexes",
            "kept_days": "For how many days jobs are kept; null while no dispatcher lives that tells",
            "gaps": "Times of the last seven days of which events were lost",
        },
    ),
    "ProcessStatus": Model(
        "A live process of a service, as its last heartbeat described it.",
        {
            "name": "New at each start",
            "service": "`ingest`, `workers`, `dispatcher` or `reaper`",
            "version": "The release of Millstream",
            "settings": "By variable, those settings on which processes have to agree",
            "started_at": "When it started, by its own clock",
            "seen_at": "When Redis took its last heartbeat, by the clock of Redis",
            "duties": "How its periodic duties fare",
        },
    ),
    "DutyInfo": Model(
        "How a periodic duty fares. Times are by the clock of the process.",
        {
            "name": "Its name, as in metrics",
            "last_success_at": "When a pass last went well; null before the first",
            "failures": "Passes that have failed in a row",
            "last_error": "Of the last pass that failed, also when later ones went well",
            "last_error_at": "When that was",
        },
    ),
    "RunningJob": Model(
        "A job in a worker's hands.", {"id": _ID, "started_at": "When the delivery began", "tenant": "Whose job it is"}
    ),
    "Problem": Model(
        "Why a request was refused (RFC 9457).",
        {
            "type": "Where the problem is explained, relative to the address of the API",
            "title": "The kind of problem",
            "status": "The HTTP status",
            "detail": "What is wrong with this request",
            "instance": "Path of the request",
            "trace_id": "Finds the request in traces and logs",
            "errors": "The fields at fault",
            "violated-policies": "The limits that the request is over, by their names in `RateLimit-Policy`",
        },
    ),
    "FieldError": Model(
        "What is wrong with one field of a request.",
        {
            "pointer": "JSON Pointer into the body, `?name` for a query parameter, `#/query/q` for a place in the text "
            "of a search, or `Name:` for a header",
            "detail": "What is wrong with it",
            "position": "Where in the text of a search the fault begins, in characters from 0",
            "end": "The first character after the fault",
            "hint": "What may have been meant",
        },
    ),
    "HealthOverview": Model(
        "All checks of the service.",
        {
            "service": "Name of the service",
            "ok": "Whether all checks passed",
            "uptime_s": "Seconds since its start",
            "live": "Whether it makes progress, check by check",
            "ready": "Whether it can take requests, check by check",
        },
    ),
    "Health": Model("The answer of a probe.", {"ok": "Whether all checks passed", "checks": _CHECKS}),
    "HealthCheck": Model(
        "The result of one check.",
        {"name": "What was looked at", "ok": "Whether it is well", "detail": "What is wrong with it"},
    ),
}
