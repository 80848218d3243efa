"""Every bound that a client can run into, in one place."""

MAX_BODY_BYTES = 1 << 20
"""A request with one job. Larger data belongs in an object store, its address in the payload."""

MAX_BATCH_BODY_BYTES = 32 << 20
"""A request with many jobs."""

MAX_BATCH_JOBS = 10_000
MAX_PAYLOAD_BYTES = 256 << 10
MAX_PAYLOAD_DEPTH = 64
MAX_PAYLOAD_VALUES = 50_000
"""Members of all objects and arrays of a payload together: 256 KB of empty arrays would be 30 MB once decoded."""
MAX_TAGS = 16
MAX_TAG_CHARS = 128
MAX_IDEMPOTENCY_KEY_CHARS = 255
MAX_UNIQUE_KEY_CHARS = 255
MAX_UNIQUE_FIELDS = 16
MAX_FIELD_PATH_CHARS = 255
MAX_KEY_BYTES = 255
"""Of the key of a job, in UTF-8."""
MAX_ATTEMPTS = 1_000
MAX_PARTITIONS = 256
MAX_CAP = 1_000_000_000
MAX_GATHERED = 10_000
"""Jobs of one call of a batch handler."""
MAX_GATHER_S = 60.0
MAX_PARENTS = 1_000
"""Of one job, in `after`."""
MAX_DELAY_S = 10 * 366 * 86_400.0
"""Ten years: far enough for any plan, near enough that a millisecond mistaken for a second is refused."""
MIN_DURATION_S = 0.001
"""Of what has to be longer than nothing: times are kept in milliseconds."""
MAX_TIMEOUT_S = 7 * 86_400.0
MIN_RESULT_TTL_S = 10.0
"""A client that waits for a job, and a commit whose answer was lost, still find it."""
MAX_WAIT_S = 30.0
MAX_PAGE = 500
MAX_DEAD_GROUPS = 200
MAX_RESULT_BYTES = 256 << 10
MAX_BLOB_BYTES = max(MAX_PAYLOAD_BYTES, MAX_RESULT_BYTES)
"""No payload and no result that was stored has more: what is decompressed is bounded by it."""
COMPRESS_FROM_BYTES = 1_024
"""Smaller values are not compressed: they have little to save, and each would cost microseconds."""
MAX_ERROR_CHARS = 8_192
"""A longer traceback keeps its end, where the cause is."""

MAX_LOG_LINES = 100
"""Log lines that are kept of an attempt."""
MAX_LOG_LINE_BYTES = 2_048
"""Of one such line; a longer one is cut."""
MAX_LOG_LINES_BYTES = 64 << 10
"""All lines of an attempt together, as far as a setting goes."""

IDEMPOTENCY_TTL_S = 24 * 3_600

# What is stored in a script call at most. `unpack` in Lua fails near 8,000 values, and Redis does nothing
# else while a script runs.
MAX_SCRIPT_JOBS = 100

MAX_STEPS = 1_000
"""Steps of one job, waits included."""
MAX_STEP_BYTES = 256 << 10
"""What a step may give, encoded."""
MAX_STEPS_BYTES = 4 << 20
"""All steps of one job together."""
MAX_STEP_NAME_CHARS = 128
MAX_STEP_VERSION_CHARS = 64
MAX_SIGNAL_BYTES = 16 << 10
MAX_KEPT_SIGNALS = 100
"""Signals of one job that it has not taken yet."""

MIN_SCHEDULE_EVERY_S = 1.0
MAX_CRON_CHARS = 256
MAX_SCHEDULE_JITTER_S = 86_400.0
MAX_SCHEDULE_DESCRIPTION_CHARS = 500
MAX_SCHEDULES = 10_000
"""Schedules of a tenant."""
MAX_MISSED = 1_000
MAX_CATCH_UP_S = 31 * 86_400.0
MAX_NEXT_OCCASIONS = 100
MAX_BACKFILL_OCCASIONS = 10_000
MAX_BACKFILL_PARALLEL = 100
DONE_SCHEDULE_TTL_S = 24 * 3_600
"""How long a schedule without a further occasion, and a backfill that has ended, can be read."""

MAX_WORKFLOW_NODES = 10_000
MAX_WORKFLOW_BODY_BYTES = 8 << 20
"""A request with a workflow. A node takes twenty bytes there and twenty times as much once it is decoded."""
MAX_WORKFLOW_EDGES = 100_000
MAX_MAP_ITEMS = 10_000
MAX_WORKFLOW_RESULTS_BYTES = 16 << 20
"""Results of nodes of one workflow that other nodes refer to."""
WORKFLOW_RETENTION_S = 24 * 3_600.0
MIN_WORKFLOW_RETENTION_S = 3_600.0
MAX_WORKFLOW_RETENTION_S = 30 * 86_400.0

MAX_CONCURRENCY_LIMIT = 100_000
"""Jobs of a type that may run at once, where that is limited."""
MAX_BURST = 1_000_000
MAX_KEY_WEIGHTS = 100
"""Keys of a type with a weight of their own: each script that moves a job of the type reads them all."""
MIN_KEY_WEIGHT = 0.01
MAX_KEY_WEIGHT = 100.0
MAX_PAUSE_REASON_CHARS = 500
MAX_HOLD_S = 86_400.0
"""How long a handler may hold its type or its key back: what it passes on may be what a stranger has told it."""
MAX_BREAKER_S = 86_400.0
"""Of any time of a circuit breaker."""
MAX_BREAKER_ATTEMPTS = 1_000_000
MAX_BREAKER_PROBES = 1000
MAX_BATCH_MEMBERS = 100_000
"""Of one batch, also those that its members add."""
BATCH_EXPIRES_IN_S = 7 * 86_400.0
MIN_BATCH_EXPIRES_IN_S = 60.0
MAX_BATCH_EXPIRES_IN_S = 30 * 86_400.0
"""How long a batch may be open."""

MAX_TEMPLATES = 1_000
"""Templates of a tenant."""
MAX_TEMPLATE_DESCRIPTION_CHARS = 500

MAX_API_KEYS = 10_000
"""Keys of the API: every ingest holds all of them in memory."""
MAX_SESSIONS = 10_000
"""Sessions, which every ingest holds in memory too, and of which none takes the place of a key."""
MAX_SESSIONS_OF_KEY = 100
"""Sessions that were opened with one key: a further one ends the oldest."""
SESSION_TTL_S = 12 * 3_600.0
"""How long a session works at most."""
MAX_API_KEY_NAME_CHARS = 100
MAX_API_KEY_TYPES = 32
MAX_API_KEY_NETWORKS = 32
MIN_API_KEY_TTL_S = 60.0
MAX_API_KEY_TTL_S = 10 * 366 * 86_400.0
API_KEY_OVERLAP_S = 24 * 3_600.0
MAX_API_KEY_OVERLAP_S = 30 * 86_400.0
"""How long a key may still work after it was given a successor."""
MAX_TENANTS = 10_000
"""Tenants of one Millstream: every ingest holds what is stored of them in memory."""
MAX_TENANT_TITLE_CHARS = 200
MAX_QUOTA = 10**12
EXPIRED_API_KEY_TTL_S = 30 * 86_400.0
"""How long a key is listed after it has expired."""

MAX_AUDIT_ENTRIES = 50_000
"""Audit records that wait in Redis for the history. Some kB each at most."""
MAX_AUDIT_DETAIL_BYTES = 4_096
"""Of what a request asked for and of what it changed, each, as JSON."""
MAX_AUDIT_TEXT_CHARS = 256
"""Of each text in an audit record that the client chooses."""
MIN_API_RATE_PER_S = 0.01
MAX_API_RATE_PER_S = 1_000_000.0
MAX_API_BURST = 1_000_000
"""How many submissions, or requests, a limit lets through at once."""
