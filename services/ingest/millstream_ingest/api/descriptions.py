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

MODELS: Mapping[str, Model] = {
    "Submission": Model(
        "A job to be run. Only `type` is required; what is left out, or null, follows the policy of the type.",
        {
            "type": _TYPE,
            "payload": "Any value, at most 256 KiB, 64 levels and 50,000 members of objects and arrays; checked by the "
            "type's schema when a worker has registered one",
            "priority": "Of the jobs of a type, those of a higher priority are taken more often. `normal` if left out",
            "run_at": "Not before this time. Excludes `delay_s`",
            "delay_s": "Not before so many seconds from now. Excludes `run_at`",
            "expires_at": "Not after this time: an unstarted job then becomes `expired`. Excludes `expires_in_s`",
            "expires_in_s": "Not after so many seconds from now. Excludes `expires_at`",
            "max_attempts": "Instead of what the type's policy says",
            "timeout_s": "Seconds for one attempt, instead of what the type's policy says",
            "backoff": "Delays between attempts, instead of what the type's policy says",
            "tags": "Up to 16 short texts by name",
            "callback": "Which URL is called when something happens to the job",
        },
    ),
    "Callback": Model(
        "Which events of a job go to which URL, as a signed call with a CloudEvent.",
        {
            "url": "Where the calls go: https or http, and a public address",
            "events": "Which events. Those with which a job settles when left out",
        },
    ),
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
            "`patch`: change their payloads and run them again; `cancel`: end jobs that wait or run; `erase`: remove "
            "what is stored of jobs, also of those that are not dead; `export`: write them to a file, by one job of "
            "`data.export`",
            "q": "A search: its dead jobs are taken, to be cancelled those that have not settled, and to be erased or "
            "exported all; relative times count from now",
            "ids": "Ids of jobs",
            "group": "The jobs of a type that died in the same way",
            "rate": "Jobs a second",
            "canary": "A trial with the first jobs",
            "dry_run": "Count, and do nothing",
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
            "detail": "Why it is paused or has failed; of an export how far it is, and then where its file lies",
            "q": "The search that it was given; null once an erasure has ended",
            "group": "The group that it was given",
            "jobs": "How many ids it was given; null for a search or a group",
            "rate": "Jobs a second",
            "canary": "Its trial; null without one",
            "dry_run": "Whether it only counts",
            "created_at": "When it was asked for",
            "updated_at": "When it last moved",
            "finished_at": "When it ended",
            "found": "Jobs that it has looked at",
            "done": "Jobs that it has acted on, or would",
            "refused": "Jobs that were not dead, or died after it was asked for",
            "failed": "Jobs of the trial that died again",
            "patch": "What it changes in payloads",
            "export": "How it writes the jobs",
            "job_id": "The job that writes an export",
            "samples": "Of a dry run of a patch: what it would change in the first jobs",
            "refusals": "The first jobs that it has left alone, each with the reason",
            "eta_s": "Seconds until its end at this rate; null where the number of jobs is not known",
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
            "expires_in_s": "Seconds from the occasion on after which it must not start",
            "max_attempts": "How many attempts it has",
            "timeout_s": "Seconds that an attempt may take",
            "backoff": "How long to wait before the next attempt",
            "tags": "Its tags, beside `schedule` and `scheduled_for`",
            "callback": "Where its events go",
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
    "OpenIncident": Model(
        "What is wrong for so long that people are told.",
        {
            "rule": "Which kind of condition: `dead-letters`, `no-worker`, `history-behind`, `partitions-missing`, "
            "`webhook-disabled`",
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
            "version": "Grows with every transition; the `ETag`",
            "attempts": "Runs of the handler that ended in success or failure",
            "max_attempts": "What the submission asked for; null when the type's policy decides",
            "deliveries": "Hand-overs to a worker, whatever came of them",
            "crashes": "Deliveries whose worker vanished",
            "handbacks": "Deliveries returned at a shutdown; they cost the job nothing",
            "created_at": "When it was submitted",
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
            "source": "`live`, or `history` once Redis has forgotten the job: then it can only be read",
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
        },
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
        },
    ),
    "Progress": Model(
        "How far a running handler says it is.", {"percent": "From 0 to 100", "note": "What it is doing, in its words"}
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
            "status": "As if it had been a request of its own: 202 accepted, 422 refused, 503 not stored",
            "id": "Id of its job; left out when it is refused",
            "replayed": "True when an earlier request with this `Idempotency-Key` had made the job",
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
            "running": "Jobs that workers run now",
            "scheduled": "Jobs that wait for a time",
            "blocked": "Jobs in a state that this release does not know",
            "dead": "Dead letters",
            "paused": "Whether workers take no jobs of the type",
            "oldest_ready_age_s": "For how long the longest-waiting ready job has been ready; 0 when none waits",
            "oldest_dead_age_s": "Age of the oldest dead letter; 0 when there is none",
        },
    ),
    "Demand": Model(
        "How many workers there should be for some job types, and why.",
        {
            "queued": "Ready jobs; those of paused queues are left out",
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
            "keeps": "What the history stores of the jobs; `failures` are those that failed, from the first failure on",
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
            "processes": "The live processes of services",
        },
    ),
    "SystemCheck": Model(
        "One thing that was looked at.",
        {
            "name": "The part of the system: `redis`, `history`, `services` or `duties`",
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
    "RunningJob": Model("A job in a worker's hands.", {"id": _ID, "started_at": "When the delivery began"}),
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
