"""Says in words which limit holds a job back, or when it has its turn."""

from millstream_streams import Place

_NAMED = 3
"""How many of the jobs of its key are named."""


def holding_words(place: Place) -> str:
    """Return the first of these that holds: a limit of the queue, one of its key, its turn."""
    return _of_queue(place) or _of_key(place) or _of_turn(place)


def _of_queue(place: Place) -> str:
    most = place.flow.get("c")
    whole = place.flow.get("tc")
    if most is not None and place.length >= most:
        if whole is not None:
            return (
                f"{place.length:,} of the {int(most):,} jobs are in flight that its partition may have now "
                f"of the {int(whole):,} of its type"
            )
        return f"{place.length:,} of {int(most):,} jobs of its type are in flight"
    if place.flow.get("tb") is not None and not place.flow.get("rb"):
        return "its partition has no part of the rate of its type yet"
    if place.free_at_ms is None:
        return ""
    of_part = "the part of its partition of " if place.flow.get("tb") is not None else ""
    return f"{of_part}the rate of its type is spent until then"


def _of_key(place: Place) -> str:
    most, key = place.flow.get("kc"), place.key
    if not key.key:
        return ""
    if most is not None and key.in_flight >= most:
        named = ", ".join(place.running[:_NAMED]) + (" and others" if len(place.running) > _NAMED else "")
        return f"{key.in_flight:,} of {int(most):,} jobs of its key `{key.key}` are in flight ({named})"
    return f"the rate of its key `{key.key}` is spent until then" if key.free_at_ms is not None else ""


def _of_turn(place: Place) -> str:
    position = "far behind" if place.position is None else f"number {place.position:,}"
    jobs = f"the jobs of its key `{place.key.key}`" if place.key.key else "the jobs without a key"
    if place.turn is None:
        return f"it is {position} among {jobs}"
    return f"{jobs} have turn {place.turn:,} of {place.turns:,}, and it is {position} among them"
