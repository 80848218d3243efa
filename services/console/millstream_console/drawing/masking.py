"""Tells which keys are named like a secret, whose values pages show as dots."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

MASK = "••••••"

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_MOST_NAMES = 4_096

IsSecret = Callable[[str], bool]


def names_none(_: str) -> bool:
    """Return that no key names a secret."""
    return False


def names_secret(names: Iterable[str]) -> IsSecret:
    """Return what tells whether a key has the words of one of these names, one behind the other.

    `api_key` is in `apiKey`, `API-KEY` and `stripe_api_key_2`; `token` is in `accessToken`, and not in `max_tokens`.
    """
    wanted = [words for name in names if (words := f" {' '.join(_words(name))} ").strip()]

    @lru_cache(_MOST_NAMES)
    def is_secret(key: str) -> bool:
        """Whether a key is named like a secret."""
        words = f" {' '.join(_words(key))} "
        return any(name in words for name in wanted)

    return is_secret


def masked(value: object, is_secret: IsSecret) -> object:
    """Return a JSON value with dots in the place of what stands under keys that are named like a secret."""
    if isinstance(value, dict):
        return {key: MASK if hides(key, item, is_secret) else masked(item, is_secret) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, is_secret) for item in value]
    return value


def hides(key: object, value: object, is_secret: IsSecret) -> bool:
    """Return whether the value of a key is hidden: that it is missing, or a switch, tells nothing."""
    return isinstance(key, str) and value is not None and not isinstance(value, bool) and is_secret(key)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
