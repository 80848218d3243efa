"""Reads the form of the limits of a queue, and writes what it says of weights."""

import math
from collections.abc import Mapping
from typing import Any

from millstream_console.web.visit import Form
from millstream_contracts import Breaker, KeyLimits, QueueLimits

_OF_BREAKER = {
    "window_s": "Counted for",
    "minimum": "Attempts at least",
    "cool_down_s": "Open for",
    "cap_s": "Open at most",
    "probes": "Probes",
}
"""What the form calls the fields of a circuit breaker beside its ratio."""


def typed_limits(form: Form) -> QueueLimits | None:
    """Return the limits that a form says; None where its fields are empty. Raises: ValueError, for people."""
    limits = _starts(form, "", "")
    per_key = _starts(form, "key_", " of each key")
    if key_cap := _whole("At most of each key", form.text("key_cap").strip()):
        per_key["cap"] = key_cap
    weights = _weights(form.text("weights"))
    cap = _whole("At most", form.text("cap").strip())
    breaker = _breaker(form)
    if not (limits or per_key or weights or form.text("fair") or cap or breaker):
        return None
    return QueueLimits(
        **limits,
        per_key=KeyLimits(**per_key) if per_key else None,
        weights=weights,
        fair=bool(form.text("fair")),
        cap=cap,
        breaker=breaker,
    )


def weights_text(weights: Mapping[str, float] | None) -> str:
    """Return weights as one would type them."""
    return "\n".join(f"{key}: {weight:g}" for key, weight in (weights or {}).items())


def _starts(form: Form, prefix: str, of: str) -> dict[str, Any]:
    """Return what the fields with a prefix say; nothing where they are empty."""
    concurrency, rate, burst = (form.text(prefix + name).strip() for name in ("concurrency", "rate", "burst"))
    found = {
        "concurrency": _whole(f"At once{of}", concurrency),
        "rate": rate.replace(" ", "") or None,
        "burst": _whole(f"Burst{of}", burst),
    }
    return {name: value for name, value in found.items() if value is not None}


def _breaker(form: Form) -> Breaker | None:
    """Return the breaker that its fields say; None where all are empty."""
    share = _number("Failures", form.text("breaker").strip().removesuffix("%").rstrip())
    if share is not None and not 1 <= share <= 100:
        raise ValueError("Failures has to be between 1 and 100 %")
    said: dict[str, Any] = {"ratio": None if share is None else share / 100}
    for name, label in _OF_BREAKER.items():
        read = _number if name.endswith("_s") else _whole
        said[name] = read(label, form.text(f"breaker_{name}").strip())
    given = {name: value for name, value in said.items() if value is not None}
    return Breaker(**given) if given else None


def _whole(label: str, text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{label} has to be a whole number")
    return int(text)


def _number(label: str, text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{label} has to be a number")
    return number


def _weights(text: str) -> dict[str, float] | None:
    weights = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, _, number = line.rpartition(":")
        try:
            weights[key.strip()] = float(number)
        except ValueError:
            raise ValueError("Weights are lines such as `acme: 2`") from None
    if "" in weights:
        raise ValueError("Weights are lines such as `acme: 2`")
    return weights or None
