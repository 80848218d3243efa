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
MAX_ATTEMPTS = 1_000
MAX_PARTITIONS = 256
MAX_DELAY_S = 10 * 366 * 86_400.0
"""Ten years: far enough for any plan, near enough that a millisecond mistaken for a second is refused."""
MIN_DURATION_S = 0.001
"""Of what has to be longer than nothing: times are kept in milliseconds."""
MAX_TIMEOUT_S = 7 * 86_400.0
MIN_RESULT_TTL_S = 10.0
"""A client that waits for a job, and a commit whose answer was lost, still find it."""
MAX_WAIT_S = 30.0
MAX_PAGE = 500
MAX_RESULT_BYTES = 256 << 10
MAX_ERROR_CHARS = 8_192
"""A longer traceback keeps its end, where the cause is."""

IDEMPOTENCY_TTL_S = 24 * 3_600

# What is stored in a script call at most. `unpack` in Lua fails near 8,000 values, and Redis does nothing
# else while a script runs.
MAX_SCRIPT_JOBS = 100

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
