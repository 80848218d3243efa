"""The options of `queues limit`, and the limits that they say."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import click

from millstream_contracts import Breaker, KeyLimits

_OPTIONS = (
    click.option("--concurrency", type=int, metavar="N", help="How many jobs may run at once."),
    click.option("--rate", metavar="N/UNIT", help="How many may start in a time: 100/s, 5/m, 1000/h, 10/d."),
    click.option("--burst", type=int, metavar="N", help="How many may start at once when none has started for long."),
    click.option("--key-concurrency", type=int, metavar="N", help="How many of each key may run at once."),
    click.option("--key-rate", metavar="N/UNIT", help="How many of each key may start in a time."),
    click.option("--key-burst", type=int, metavar="N", help="The burst of each key."),
    click.option("--key-cap", type=int, metavar="N", help="How many of a key may be there before it is refused more."),
    click.option("--weight", "weights", multiple=True, metavar="KEY=WEIGHT", help="The share of a key; more than one."),
    click.option("--cap", type=int, metavar="N", help="How many may be there before submissions are refused."),
    click.option("--fair", is_flag=True, help="Have keys take turns where nothing else is limited."),
    click.option(
        "--breaker", "breaker_ratio", type=float, metavar="RATIO", help="Hold jobs back while this share fails: 0.5."
    ),
    click.option("--breaker-window", type=float, metavar="SECONDS", help="The time in which it counts attempts: 60."),
    click.option("--breaker-minimum", type=int, metavar="N", help="It does not open with fewer attempts: 20."),
    click.option("--breaker-cool-down", type=float, metavar="SECONDS", help="How long it is open at first: 30."),
    click.option("--breaker-cap", type=float, metavar="SECONDS", help="How long it is open at most: 600."),
    click.option("--breaker-probes", type=int, metavar="N", help="How many jobs have to succeed for it to close: 3."),
)
_SECONDS = frozenset({"window", "cool_down", "cap"})


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of limits, in their order."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


def limits_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Client.limit_queue` that options say. Raises: click.UsageError."""
    # By identity: 0 equals False, and a limit of 0 is to be refused by its name, not left out.
    given = {name: value for name, value in options.items() if value is not None and value is not False and value != ()}
    if not given:
        raise click.UsageError(
            "Say --concurrency, --rate, a limit of keys, --cap, --breaker or --fair; `unlimit` removes the limits."
        )
    if "weights" in given:
        given["weights"] = _weights(given["weights"])
    of_keys, of_breaker = _taken(given, "key_"), _taken(given, "breaker_")
    try:
        if of_keys:
            given["per_key"] = KeyLimits(**of_keys)
        if of_breaker:
            given["breaker"] = Breaker(**{f"{n}_s" if n in _SECONDS else n: value for n, value in of_breaker.items()})
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    return given


def _taken(options: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Take the options with a prefix out of others, and return them without it."""
    return {name.removeprefix(prefix): options.pop(name) for name in list(options) if name.startswith(prefix)}


def _weights(texts: tuple[str, ...]) -> dict[str, float]:
    """Return the weights of keys. Raises: click.UsageError."""
    weights = {}
    for text in texts:
        key, _, number = text.rpartition("=")
        try:
            weights[key] = float(number)
        except ValueError:
            key = ""
        if not key:
            raise click.UsageError(f"--weight is a key and its weight, such as acme=2, not `{text}`")
    return weights
