"""What each command of the API sends: its words, and the request that they make."""

from datetime import UTC, datetime, timedelta
from typing import Any

JOB, BATCH, FLOW = "a.b_0001JD3YQ8Z7M4T6V0RXKBN5C2WA", "BA_0001KBCSZ4000ABCDEFGHJKMNP", "WF_0001KBCSZ4000ABCDEFGHJKMNP"
PAGE = {"cursor": ["c"], "limit": ["7"]}
UNIQUE = {"key": "u", "scope": "window", "window_s": 5.0, "on_conflict": "reject"}
UNIQUE_WORDS = "--unique u --unique-scope window --unique-window 5 --on-conflict reject"
LIMITS = {"submissions_per_s": 5.0, "burst": 9, "requests_per_s": 3.0}
LIMIT_WORDS = "--submissions-per-s 5 --burst 9 --requests-per-s 3"
ENDS = ["succeeded", "dead", "cancelled", "expired"]


class Ago:
    """Equals the parameter of a request with a moment that is this long ago."""

    def __init__(self, **length: int) -> None:
        self._length = timedelta(**length)

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, list)
        age = datetime.now(UTC) - datetime.fromisoformat(other[0])
        return abs(age - self._length) < timedelta(hours=1)

    __hash__ = None  # type: ignore[assignment]


OPERATIONS: dict[str, dict[str, Any]] = {
    "redrive": {"kind": "redrive"},
    "discard": {"kind": "discard"},
    "patch -p '{{}}'": {"kind": "patch", "patch": {}},
    "cancel-jobs": {"kind": "cancel"},
    "run-now": {"kind": "run-now"},
    "priority low": {"kind": "priority", "priority": "low"},
    "erase": {"kind": "erase"},
}
"""The operations on chosen jobs, and what they send besides the choice."""

Case = tuple[str, str, dict[str, Any], Any]

CASES: list[Case] = [
    (
        "audit --key K1 --action revokeKey --outcome done --target /v1/keys/ --since 7d --cursor c --limit 7",
        "GET /v1/audit",
        {
            "key": ["K1"],
            "action": ["revokeKey"],
            "outcome": ["done"],
            "target": ["/v1/keys/"],
            "after": Ago(days=7),
            **PAGE,
        },
        None,
    ),
    ("audit export --since 90d", "GET /v1/audit", {"after": Ago(days=90), "order": ["oldest"], "limit": ["500"]}, None),
    ("batches --state open --cursor c --limit 7", "GET /v1/batches", {"state": ["open"], **PAGE}, None),
    ("batches list --state open --cursor c --limit 7", "GET /v1/batches", {"state": ["open"], **PAGE}, None),
    (f"batches close {BATCH}", f"POST /v1/batches/{BATCH}/close", {}, None),
    (f"batches cancel {BATCH}", f"POST /v1/batches/{BATCH}/cancel", {}, None),
    (
        (
            "batches create import --jobs {jobs} --open --on-success a --on-complete b --on-death c --expires-in 90 "
            "--idempotency-key k"
        ),
        "POST /v1/batches",
        {},
        {
            "name": "import",
            "open": True,
            "jobs": [{"type": "row", "payload": 1}],
            "expires_in_s": 90.0,
            **{
                f"on_{event}": {"type": one, "payload": None}
                for event, one in (("success", "a"), ("complete", "b"), ("death", "c"))
            },
        },
    ),
    (
        f"batches add {BATCH} {{jobs}} --by {JOB} --idempotency-key k",
        f"POST /v1/batches/{BATCH}/jobs",
        {"by": [JOB]},
        {"jobs": [{"type": "row", "payload": 1}]},
    ),
    ("dead --type a.b --cursor c --limit 7", "GET /v1/dead", {"type": ["a.b"], **PAGE}, None),
    (
        "dead groups --type a.b --since 2",
        "GET /v1/dead/groups",
        {"type": ["a.b"], "since": ["7200s"], "live": ["1"], "releases": ["1"]},
        None,
    ),
    ("dead redrive --type a.b --limit 7 --yes", "POST /v1/dead/redrive", {}, {"ids": None, "type": "a.b", "limit": 7}),
    ("dead discard --type a.b --limit 7 --yes", "POST /v1/dead/discard", {}, {"ids": None, "type": "a.b", "limit": 7}),
    ("demand a.b c.*", "GET /v1/demand", {"types": ["a.b,c.*"]}, None),
    ("incidents", "GET /v1/incidents", {}, None),
    (f"stack {JOB}", f"GET /v1/jobs/{JOB}/stack", {}, None),
    (
        (
            f"submit a.b 1 --priority high --key acme --delay 1.5 --after {JOB} --after-failure run --max-attempts 2 "
            f"--timeout 9 --tag a=b --callback https://a.example/ {UNIQUE_WORDS} --template t --idempotency-key k"
        ),
        "POST /v1/jobs",
        {},
        {
            "type": "a.b",
            "payload": 1,
            "priority": "high",
            "key": "acme",
            "delay_s": 1.5,
            "after": [JOB],
            "after_failure": "run",
            "max_attempts": 2,
            "timeout_s": 9.0,
            "tags": {"a": "b"},
            "callback": {"url": "https://a.example/"},
            "unique": UNIQUE,
            "template": "t",
        },
    ),
    (
        "submit a.b --unique u --unique-window 5",
        "POST /v1/jobs",
        {},
        {"type": "a.b", "payload": None, "unique": {"key": "u", "scope": "window", "window_s": 5.0}},
    ),
    (f"job {JOB}", f"GET /v1/jobs/{JOB}", {}, None),
    (f"job {JOB} --cancel", f"POST /v1/jobs/{JOB}/cancel", {}, None),
    (f"job {JOB} --retry", f"POST /v1/jobs/{JOB}/retry", {}, None),
    (f"job {JOB} --retry --fresh", f"POST /v1/jobs/{JOB}/retry", {"fresh": ["1"]}, None),
    (f"job {JOB} --run-now", f"POST /v1/jobs/{JOB}/run-now", {}, None),
    (f"job {JOB} --priority high", f"POST /v1/jobs/{JOB}/priority", {}, {"priority": "high"}),
    (f"job {JOB} --steps", f"GET /v1/jobs/{JOB}/steps", {}, None),
    (f"job {JOB} --timeline", f"GET /v1/jobs/{JOB}/timeline", {}, None),
    (f"job {JOB} --logs", f"GET /v1/jobs/{JOB}/timeline", {"logs": ["1"]}, None),
    (
        "jobs --type a.b --state scheduled --cursor c --limit 7",
        "GET /v1/jobs",
        {"type": ["a.b"], "state": ["scheduled"], **PAGE},
        None,
    ),
    ("jobs --running", "GET /v1/jobs", {"state": ["running"], "limit": ["50"]}, None),
    (
        "jobs search 'no route' --type a.b --state dead --tag a=b --tag c=d --count --cursor c --limit 7",
        "GET /v1/jobs",
        {"q": ["no route"], "type": ["a.b"], "state": ["dead"], "tag.a": ["b"], "tag.c": ["d"], "count": ["1"], **PAGE},
        None,
    ),
    (f"jobs signal {JOB} go 1 --idempotency-key k", f"POST /v1/jobs/{JOB}/signals/go", {}, 1),
    (f"jobs explain {JOB}", f"GET /v1/jobs/{JOB}/explain", {}, None),
    ("keys --tenant acme --cursor c --limit 7", "GET /v1/keys", {"tenant": ["acme"], **PAGE}, None),
    ("keys show K1", "GET /v1/keys/K1", {}, None),
    (
        "keys create ci --role admin --expires 90d --types email.* --types a.b --networks 10.0.0.0/8 --tenant acme "
        + LIMIT_WORDS,
        "POST /v1/keys",
        {},
        {
            "name": "ci",
            "role": "admin",
            "expires_in_s": 7_776_000.0,
            "types": ["email.*", "a.b"],
            "networks": ["10.0.0.0/8"],
            "tenant": "acme",
            "limits": LIMITS,
        },
    ),
    (
        "keys create ci --scope jobs:read --scope jobs:submit",
        "POST /v1/keys",
        {},
        {"name": "ci", "scopes": ["jobs:read", "jobs:submit"]},
    ),
    (f"keys limit K1 {LIMIT_WORDS}", "PATCH /v1/keys/K1", {}, {"limits": LIMITS}),
    ("keys rotate K1 --overlap 1h", "POST /v1/keys/K1/rotate", {}, {"overlap_s": 3600.0}),
    ("keys revoke K1", "DELETE /v1/keys/K1", {}, None),
    ("operations --limit 7", "GET /v1/operations", {"limit": ["7"]}, None),
    ("operations show op_1", "GET /v1/operations/op_1", {}, None),
    ("operations pause op_1", "POST /v1/operations/op_1/pause", {}, None),
    ("operations resume op_1", "POST /v1/operations/op_1/resume", {}, None),
    ("operations cancel op_1", "POST /v1/operations/op_1/cancel", {}, None),
    (
        "operations redrive -q state:dead --rate 7 --canary 3 --max-failure 0.5 --fresh --yes",
        "POST /v1/operations",
        {},
        {"kind": "redrive", "q": "state:dead", "rate": 7.0, "canary": {"count": 3, "max_failure": 0.5}, "fresh": True},
    ),
    (
        f"operations patch {JOB} -p '{{{{\"a\": 1}}}}' --rate 7 --canary 3 --max-failure 0.5 --fresh --yes",
        "POST /v1/operations",
        {},
        {
            "kind": "patch",
            "ids": [JOB],
            "patch": {"a": 1},
            "rate": 7.0,
            "canary": {"count": 3, "max_failure": 0.5},
            "fresh": True,
        },
    ),
    (
        f"operations priority high {JOB} --rate 7 --yes",
        "POST /v1/operations",
        {},
        {"kind": "priority", "ids": [JOB], "rate": 7.0, "priority": "high"},
    ),
    *(
        (
            f"operations {word} -q type:a --rate 7 --yes",
            "POST /v1/operations",
            {},
            {"kind": kind, "q": "type:a", "rate": 7.0},
        )
        for word, kind in (
            ("discard", "discard"),
            ("cancel-jobs", "cancel"),
            ("run-now", "run-now"),
            ("erase", "erase"),
        )
    ),
    *(
        (
            f"operations {words} {chosen} --dry-run",
            "POST /v1/operations",
            {},
            {**body, **of, "rate": 50.0, "dry_run": True},
        )
        for words, body in OPERATIONS.items()
        for chosen, of in (
            ("-q type:a", {"q": "type:a"}),
            ("--group a.b f00d", {"group": {"type": "a.b", "fingerprint": "f00d"}}),
            (f"{JOB} {JOB}2", {"ids": [JOB, f"{JOB}2"]}),
        )
    ),
    (
        "operations export -q type:a --format csv --payloads --name out",
        "POST /v1/operations",
        {},
        {"kind": "export", "q": "type:a", "rate": 50.0, "export": {"format": "csv", "payloads": True, "name": "out"}},
    ),
    (
        "operations export --group a.b f00d",
        "POST /v1/operations",
        {},
        {
            "kind": "export",
            "group": {"type": "a.b", "fingerprint": "f00d"},
            "rate": 50.0,
            "export": {"format": "jsonl", "payloads": False, "name": "export"},
        },
    ),
    ("queues", "GET /v1/queues", {"limit": ["500"]}, None),
    ("queues show a.b", "GET /v1/queues/a.b/settings", {}, None),
    ("queues keys a.b --sort key --cursor c --limit 7", "GET /v1/queues/a.b/keys", {"sort": ["key"], **PAGE}, None),
    (
        (
            "queues limit a.b --concurrency 2 --rate 5/s --burst 3 --key-concurrency 1 --key-rate 1/s --key-burst 2 "
            "--key-cap 5 --weight a=2 --cap 9 --fair --breaker 0.5 --breaker-window 1 --breaker-minimum 2 "
            "--breaker-cool-down 3 --breaker-cap 4 --breaker-probes 5"
        ),
        "PUT /v1/queues/a.b/limits",
        {},
        {
            "concurrency": 2,
            "rate": "5/s",
            "burst": 3,
            "weights": {"a": 2.0},
            "cap": 9,
            "fair": True,
            "per_key": {"concurrency": 1, "rate": "1/s", "burst": 2, "cap": 5},
            "breaker": {"ratio": 0.5, "window_s": 1.0, "minimum": 2, "cool_down_s": 3.0, "cap_s": 4.0, "probes": 5},
        },
    ),
    ("queues unlimit a.b", "DELETE /v1/queues/a.b/limits", {}, None),
    ("queues unhold a.b --key acme", "DELETE /v1/queues/a.b/hold", {"key": ["acme"]}, None),
    ("queues pause a.b --reason why", "POST /v1/queues/a.b/pause", {"reason": ["why"]}, None),
    ("queues resume a.b", "POST /v1/queues/a.b/resume", {}, None),
    ("queues breaker open a.b --reason why", "POST /v1/queues/a.b/breaker/open", {"reason": ["why"]}, None),
    ("queues breaker close a.b", "POST /v1/queues/a.b/breaker/close", {}, None),
    (
        "schedules --state active --type a.b --cursor c --limit 7",
        "GET /v1/schedules",
        {"state": ["active"], "type": ["a.b"], **PAGE},
        None,
    ),
    ("schedules show n", "GET /v1/schedules/n", {}, None),
    (
        (
            "schedules put n a.b 1 --cron '0 0 3 * * *' --tz Europe/Paris --seconds --missed all --late 1m "
            f"--catch-up 1h --max-missed 3 --overlap skip --jitter 5m --priority low --key acme {UNIQUE_WORDS} "
            "--tag a=b --description why --paused"
        ),
        "PUT /v1/schedules/n",
        {},
        {
            "cron": "0 0 3 * * *",
            "tz": "Europe/Paris",
            "seconds": True,
            "missed": "all",
            "late_s": 60.0,
            "catch_up_s": 3600.0,
            "max_missed": 3,
            "overlap": "skip",
            "jitter_s": 300.0,
            "description": "why",
            "paused": True,
            "job": {
                "type": "a.b",
                "payload": 1,
                "priority": "low",
                "key": "acme",
                "unique": UNIQUE,
                "tags": {"a": "b"},
            },
        },
    ),
    (
        "schedules put n a.b --every 90m --active",
        "PUT /v1/schedules/n",
        {},
        {"every_s": 5400.0, "job": {"type": "a.b", "payload": None}, "paused": False},
    ),
    (
        "schedules put n a.b --at 2026-12-24 --description why --paused --late 2h --dry-run",
        "POST /v1/schedules/n/preview",
        {},
        {
            "at": datetime(2026, 12, 24, tzinfo=UTC),
            "job": {"type": "a.b", "payload": None},
            "description": "why",
            "paused": True,
            "late_s": 7200.0,
        },
    ),
    ("schedules remove n", "DELETE /v1/schedules/n", {}, None),
    ("schedules pause n", "POST /v1/schedules/n/pause", {}, None),
    ("schedules resume n", "POST /v1/schedules/n/resume", {}, None),
    ("schedules run n --idempotency-key k", "POST /v1/schedules/n/run", {}, None),
    (
        "schedules backfill n --from 2026-03-01 --to 2026-03-02T01:00+01:00 --parallel 3 --dry-run --idempotency-key k",
        "POST /v1/schedules/n/backfill",
        {},
        {
            "from": datetime(2026, 3, 1, tzinfo=UTC),
            "to": datetime(2026, 3, 2, tzinfo=UTC),
            "parallel": 3,
            "dry_run": True,
        },
    ),
    ("sessions --cursor c --limit 7", "GET /v1/sessions", PAGE, None),
    ("sessions open --expires 1h", "POST /v1/sessions", {}, {"expires_in_s": 3600.0}),
    ("sessions end", "DELETE /v1/sessions/current", {}, None),
    ("sessions end S1", "DELETE /v1/sessions/S1", {}, None),
    (
        "stats --type a.b --since 6h --step 5m",
        "GET /v1/stats",
        {"type": ["a.b"], "from": ["21600s"], "step": ["300s"]},
        None,
    ),
    ("stats", "GET /v1/stats", {"from": ["3600s"]}, None),
    ("stats --since 6h --step 5m --by-type", "GET /v1/stats/types", {"from": ["21600s"], "step": ["300s"]}, None),
    (f"tail --type a.b --job {JOB}", "GET /v1/events", {"type": ["a.b"], "job": [JOB]}, None),
    ("templates --name mail --cursor c --limit 7", "GET /v1/templates", {"name": ["mail"], **PAGE}, None),
    ("templates show t", "GET /v1/templates/t", {}, None),
    (
        (
            f"templates put t a.b 1 --priority low --key acme --max-attempts 2 --timeout 9 {UNIQUE_WORDS} --tag a=b "
            "--callback https://a.example/ --description why"
        ),
        "PUT /v1/templates/t",
        {},
        {
            "type": "a.b",
            "payload": 1,
            "priority": "low",
            "key": "acme",
            "max_attempts": 2,
            "timeout_s": 9.0,
            "unique": UNIQUE,
            "tags": {"a": "b"},
            "callback": {"url": "https://a.example/"},
            "description": "why",
        },
    ),
    ("templates remove t", "DELETE /v1/templates/t", {}, None),
    ("tenants --name ac --cursor c --limit 7", "GET /v1/tenants", {"name": ["ac"], **PAGE}, None),
    ("tenants show acme", "GET /v1/tenants/acme", {}, None),
    (
        f"tenants create acme --title Acme --quota keys=3 {LIMIT_WORDS} --encryption all",
        "POST /v1/tenants",
        {},
        {"name": "acme", "title": "Acme", "quotas": {"keys": 3}, "limits": LIMITS, "encryption": "all"},
    ),
    (
        f"tenants change acme --title Acme --quota keys=3 {LIMIT_WORDS} --encryption all",
        "PATCH /v1/tenants/acme",
        {},
        {"title": "Acme", "quotas": {"keys": 3}, "limits": LIMITS, "encryption": "all"},
    ),
    ("tenants change acme --no-quotas --no-limits", "PATCH /v1/tenants/acme", {}, {"quotas": {}, "limits": {}}),
    ("tenants suspend acme --reason why", "POST /v1/tenants/acme/suspend", {}, {"reason": "why"}),
    ("tenants resume acme", "POST /v1/tenants/acme/resume", {}, None),
    ("tenants delete acme --confirm acme", "DELETE /v1/tenants/acme", {"confirm": ["acme"]}, None),
    ("types", "GET /v1/types", {"limit": ["500"]}, None),
    ("webhooks", "GET /v1/webhooks", {}, None),
    ("webhooks show W1", "GET /v1/webhooks/W1", {}, None),
    (
        "webhooks add https://a.example/ --type a.* --type b --event succeeded --payloads --description why",
        "POST /v1/webhooks",
        {},
        {
            "url": "https://a.example/",
            "types": ["a.*", "b"],
            "events": ["succeeded"],
            "payloads": True,
            "description": "why",
        },
    ),
    (
        "webhooks add https://a.example/",
        "POST /v1/webhooks",
        {},
        {"url": "https://a.example/", "types": ["*"], "events": ENDS},
    ),
    (
        "webhooks change W1 --to https://a.example/ --type a.* --event succeeded --no-payloads --description why",
        "PATCH /v1/webhooks/W1",
        {},
        {
            "url": "https://a.example/",
            "types": ["a.*"],
            "events": ["succeeded"],
            "payloads": False,
            "description": "why",
        },
    ),
    ("webhooks change W1 --payloads", "PATCH /v1/webhooks/W1", {}, {"payloads": True}),
    ("webhooks remove W1", "DELETE /v1/webhooks/W1", {}, None),
    ("webhooks rotate W1", "POST /v1/webhooks/W1/rotate", {}, None),
    ("webhooks secret", "GET /v1/webhooks/callbacks/secret", {}, None),
    ("webhooks enable W1", "POST /v1/webhooks/W1/enable", {}, None),
    ("webhooks disable W1", "POST /v1/webhooks/W1/disable", {}, None),
    ("webhooks test W1", "POST /v1/webhooks/W1/test", {}, None),
    ("webhooks deliveries W1 --cursor c --limit 7", "GET /v1/webhooks/W1/deliveries", PAGE, None),
    ("webhooks deliveries", "GET /v1/webhooks/callbacks/deliveries", {"limit": ["50"]}, None),
    (f"webhooks redeliver W1 {JOB}", f"POST /v1/webhooks/W1/deliveries/{JOB}/redeliver", {}, None),
    ("workers", "GET /v1/workers", {"limit": ["500"]}, None),
    ("workers drain w:1", "POST /v1/workers/w%3A1/drain", {}, None),
    *(
        (
            f"{word} --state running --name n --since 6h --cursor c --limit 7",
            "GET /v1/workflows",
            {"state": ["running"], "name": ["n"], "created_after": Ago(hours=6), **PAGE},
            None,
        )
        for word in ("workflows", "workflows list")
    ),
    (
        "workflows run {flow} --idempotency-key k",
        "POST /v1/workflows",
        {},
        {"name": "n", "nodes": {"mail": {"type": "a.b"}}},
    ),
    (
        f"workflows show {FLOW} --nodes failed --results --cursor c --limit 7",
        f"GET /v1/workflows/{FLOW}",
        {"nodes": ["failed"], "results": ["1"], **PAGE},
        None,
    ),
    (f"workflows cancel {FLOW}", f"POST /v1/workflows/{FLOW}/cancel", {}, None),
    (
        f"workflows rerun {FLOW} --failed --idempotency-key k",
        f"POST /v1/workflows/{FLOW}/rerun",
        {},
        {"from": None, "failed": True},
    ),
    (f"workflows rerun {FLOW} a b", f"POST /v1/workflows/{FLOW}/rerun", {}, {"from": ["a", "b"], "failed": False}),
    *(
        (word, f"GET /v1/{word}", {"limit": ["50"]}, None)
        for word in ("batches", "jobs", "schedules", "templates", "workflows", "dead")
    ),
    *((word, f"GET /v1/{word}", {"limit": ["100"]}, None) for word in ("keys", "sessions", "tenants")),
    ("audit", "GET /v1/audit", {"limit": ["50"]}, None),
    ("operations", "GET /v1/operations", {"limit": ["20"]}, None),
    ("queues keys a.b", "GET /v1/queues/a.b/keys", {"sort": ["parked"], "limit": ["100"]}, None),
    ("dead redrive --type a.b --yes", "POST /v1/dead/redrive", {}, {"ids": None, "type": "a.b", "limit": 1000}),
]
"""Words; method and path; query; body."""
