"""When a delivery that failed is tried again.

Source: Svix, "Retry Schedule".
"""

MINUTE_S, HOUR_S = 60.0, 3_600.0

RETRY_DELAYS_S = (5.0, 5 * MINUTE_S, 30 * MINUTE_S, 2 * HOUR_S, 5 * HOUR_S, 10 * HOUR_S, 10 * HOUR_S)
"""The delays before the second attempt, the third and so on: 27 hours in all."""

MAX_PAUSE_S = 10 * HOUR_S
"""The longest pause that a receiver can ask for by `Retry-After`."""

PAUSES_WITHIN_S = 72 * HOUR_S
"""The age of a delivery from which on a pause that its receiver asks for counts as a failure."""

GONE_REASON = "the receiver is gone: it answered 410"
"""The reason for which a delivery is cancelled, by which dispatchers know that its endpoint is to be disabled."""
