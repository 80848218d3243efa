"""The rules of the scenario of tenants: who may do what until when, and that each change is on record once."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from chaos.evidence import Evidence
from chaos.journal import EVERYTHING
from chaos.tenancy import Change, KeyUse, Suspension

from millstream_contracts import AuditRecord, EventKind
from millstream_dispatcher.tenants.tenant_book import FRESH_FOR_S
from millstream_ingest.access.key_cache import STALE_AFTER_S

STALE_MS = STALE_AFTER_S * 1000
_ID_CHARS = 26
"""What a job id has behind its type and partition."""
_UNRECORDED = {401, 429}
"""The statuses of requests that are refused before the route is known to be asked for by a principal."""


def jobs_are_of_their_submitters(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that is of another tenant than the key, or the parent, that submitted it."""
    for entry in evidence.ledger.entries:
        for job_id in entry.ids & evidence.jobs.keys():
            if evidence.jobs[job_id].tenant != entry.tenant:
                yield f"{job_id} is of {evidence.jobs[job_id].tenant}, and was submitted by {entry.tenant}"
    for job_id, effects in evidence.effects.items():
        for child in {effect.child for effect in effects} & evidence.jobs.keys():
            if job_id in evidence.jobs and evidence.jobs[child].tenant != evidence.jobs[job_id].tenant:
                yield f"{child} is of {evidence.jobs[child].tenant}, and its parent of {evidence.jobs[job_id].tenant}"


def ended_keys_are_refused(evidence: Evidence) -> Iterator[str]:
    """Complain of each use of a key that had ended for longer than an ingest may hold it, and was taken."""
    were_tried = False
    for use in _uses(evidence):
        key = evidence.tenancy.keys[use.key_id]
        if use.at_ms <= key.ended_ms + STALE_MS:
            continue
        were_tried = True
        if use.is_taken:
            yield f"the key `{key.id}` had ended {(use.at_ms - key.ended_ms) / 1000:.1f} s ago: answered {use.status}"
    if not were_tried:
        yield "no key was used after its end: nothing was shown"


def live_keys_are_taken(evidence: Evidence) -> Iterator[str]:
    """Complain of each use of a key that was answered with 401 before anything was done to end the key."""
    for use in _uses(evidence):
        key = evidence.tenancy.keys[use.key_id]
        if use.status == 401 and use.at_ms >= key.born_ms and use.answered_ms < key.ending_ms:
            age_ms = use.at_ms - key.born_ms
            yield f"the key `{key.id}` of {key.tenant} works, and was refused {age_ms} ms after it was made"


def no_tenant_sees_another(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that a key of another tenant could read."""
    asked = [use for use in evidence.tenancy.uses if use.job]
    for use in asked:
        if use.status == 200:
            yield f"{use.job} was shown to the key `{use.key_id}` of another tenant"
    if not any(use.status == 404 for use in asked):
        yield "no job of another tenant was asked for: nothing was shown"


def nothing_of_a_suspended_tenant_starts(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that started after the suspension of its tenant was answered."""
    queues = _first_steps(evidence)
    # A queue that is used for the first time meanwhile is closed by the next look of a dispatcher.
    grace_ms = STALE_MS + FRESH_FOR_S * 1000 + evidence.pass_ms
    for suspension in evidence.tenancy.suspensions:
        for job_id in _jobs_of(evidence, suspension):
            was_there = queues[job_id[:-_ID_CHARS], suspension.tenant] <= suspension.answered_ms
            closed_ms = suspension.answered_ms + (0 if was_there else grace_ms)
            for step in evidence.steps.get(job_id, ()):
                if step.kind is EventKind.STARTED and closed_ms < step.at_ms < suspension.resuming_ms:
                    late_s = (step.at_ms - suspension.answered_ms) / 1000
                    yield f"{job_id} started {late_s:.1f} s after {suspension.tenant} was suspended"


def a_suspended_tenant_submits_nothing(evidence: Evidence) -> Iterator[str]:
    """Complain of each submission that was accepted when every ingest had to know of the suspension."""
    were_refused = False
    for suspension in evidence.tenancy.suspensions:
        for entry in evidence.ledger.entries:
            for answer in entry.answers if entry.tenant == suspension.tenant else ():
                were_refused = were_refused or answer.problem == "tenant-suspended"
                answered_ms = answer.at_ms + answer.seconds * 1000
                is_late = answer.at_ms > suspension.answered_ms + STALE_MS
                if answer.is_accepted and is_late and answered_ms < suspension.resuming_ms:
                    yield f"{entry.key} was accepted while {entry.tenant} was suspended"
    if not were_refused:
        yield "no submission of a suspended tenant was refused: nothing was shown"


def nothing_of_a_deleted_tenant_goes_on(evidence: Evidence) -> Iterator[str]:
    """Complain of each delivery of a deleted tenant that began behind the deletion, and of each that ran twice."""
    deletion = evidence.tenancy.deletion
    if deletion is None or not deletion.ledger.accepted_ids:
        yield "no tenant with jobs was deleted: nothing was shown"
        return
    begun = [effect for effect in deletion.effects if effect.event == "started"]
    for effect in begun:
        # What was claimed just before may take its time until its handler is called.
        if effect.at_ms > deletion.answered_ms + evidence.lease_ms:
            late_s = (effect.at_ms - deletion.answered_ms) / 1000
            yield f"{effect.job} started {late_s:.1f} s after the deletion of {deletion.tenant} was answered"
    for (job_id, fence), count in Counter((effect.job, effect.fence) for effect in begun).items():
        if count > 1:
            yield f"{job_id}: delivery {fence} ran {count} times"


def quotas_were_hit(evidence: Evidence) -> Iterator[str]:
    """Complain when no submission was above the quota of its tenant, because then nothing was shown."""
    if not any(answer.problem == "tenant-backlog-full" for answer in evidence.ledger.answers(429)):
        yield "no submission was above a quota: nothing was shown"


def each_change_has_one_record(evidence: Evidence) -> Iterator[str]:
    """Complain of each change that was answered and has not one record, and of each that has several."""
    records: defaultdict[str, list[AuditRecord]] = defaultdict(list)
    for record in evidence.tenancy.trail:
        records[record.request_id].append(record)
    begun = Counter(evidence.tenancy.begun)
    for change in evidence.tenancy.changes:
        found = records[change.request_id]
        # Of an action whose end could not be recorded Redis has the begin, of which a dispatcher makes the record.
        count = len(found) + begun[change.request_id]
        is_certain = 200 <= change.status < 500 and change.status not in _UNRECORDED
        if count > 1 or (is_certain and not count):
            yield f"{change.line} ({change.request_id}) was answered {change.status}, and has {count} records"
        if is_certain and begun[change.request_id] and not _was_redis_away(evidence, change):
            yield f"{change.line} ({change.request_id}) was answered {change.status}, and has no end on record"
        for record in found:
            if record.tenant != change.tenant or (is_certain and record.status not in {0, change.status}):
                yield (
                    f"{change.line} ({change.request_id}) of {change.tenant} was answered {change.status}, and its "
                    f"record of {record.tenant} says {record.status}"
                )
    yield from _records_of_the_deletion(evidence)


def no_record_is_there_twice(evidence: Evidence) -> Iterator[str]:
    """Complain of each action that the trail has twice."""
    counts = Counter((record.tenant, record.id) for record in evidence.tenancy.trail)
    yield from (f"{tenant} has {count} records {name}" for (tenant, name), count in counts.items() if count > 1)


def chains_are_whole(evidence: Evidence) -> Iterator[str]:
    """Return what the verification of the chains found, and whether it has read all records."""
    yield from evidence.tenancy.faults
    if evidence.tenancy.verified != len(evidence.tenancy.trail):
        yield f"{evidence.tenancy.verified} records were verified, and there are {len(evidence.tenancy.trail)}"


RULES = (
    jobs_are_of_their_submitters,
    ended_keys_are_refused,
    live_keys_are_taken,
    no_tenant_sees_another,
    nothing_of_a_suspended_tenant_starts,
    a_suspended_tenant_submits_nothing,
    nothing_of_a_deleted_tenant_goes_on,
    quotas_were_hit,
    each_change_has_one_record,
    no_record_is_there_twice,
    chains_are_whole,
)


def _was_redis_away(evidence: Evidence, change: Change) -> bool:
    """Return whether the end of a change could not be recorded when it was answered."""
    return any(
        fault.target == EVERYTHING and fault.overlaps(change.at_ms, round(change.answered_ms))
        for fault in evidence.faults
    )


def _records_of_the_deletion(evidence: Evidence) -> Iterator[str]:
    deletion = evidence.tenancy.deletion
    if deletion is None or not deletion.is_done:
        return
    target = f"/v1/tenants/{deletion.tenant}"
    own = [one for one in evidence.tenancy.trail if one.target == target and not one.request_id]
    if len(own) != 1:
        yield f"the end of the deletion of {deletion.tenant} has {len(own)} records"


def _uses(evidence: Evidence) -> Iterator[KeyUse]:
    """Yield each use of a key, by submissions too."""
    yield from evidence.tenancy.uses
    deletion = evidence.tenancy.deletion
    for entry in (*evidence.ledger.entries, *(deletion.ledger.entries if deletion else ())):
        for answer in entry.answers:
            if answer.key_id in evidence.tenancy.keys:
                ended_ms = answer.at_ms + answer.seconds * 1000
                yield KeyUse(answer.key_id, answer.at_ms, ended_ms, answer.status, answer.problem)


def _jobs_of(evidence: Evidence, suspension: Suspension) -> Iterator[str]:
    return (job.id for job in evidence.jobs.values() if job.tenant == suspension.tenant)


def _first_steps(evidence: Evidence) -> dict[tuple[str, str], int]:
    """Return when the first job of each queue was stored, by type with partition and tenant. Unix ms."""
    found: dict[tuple[str, str], int] = {}
    for job in evidence.jobs.values():
        if steps := evidence.steps.get(job.id):
            queue = job.id[:-_ID_CHARS], job.tenant
            found[queue] = min(found.get(queue, steps[0].at_ms), steps[0].at_ms)
    return found
