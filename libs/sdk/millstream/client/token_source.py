"""The tokens that a client sends: one that stays, or those of a function, which is asked anew before one ends."""

import json
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from inspect import isawaitable

import anyio

from millstream.client.key_header import key_header

SyncToken = str | Callable[[], str]
"""A token, or a function that returns a valid one."""

AsyncToken = str | Callable[[], str | Awaitable[str]]
"""As `SyncToken`; the function may be a coroutine function, and one that blocks should be."""

RENEW_BEFORE_S = 60.0
"""How long before its end a token is replaced, so that it does not end on its way; half of a life that is short."""


class _Held:
    """The token that is sent at present."""

    def __init__(self) -> None:
        self.header: dict[str, str] | None = None
        self._renew_at = 0.0

    def fresh(self) -> dict[str, str] | None:
        """Return the header with the token; None where there is none that lasts."""
        return self.header if time.time() < self._renew_at else None

    def take(self, text: object) -> dict[str, str]:
        """Take a token that a function has returned. Raises: TypeError, ValueError, without the token."""
        if not isinstance(text, str):
            raise TypeError("the function of `token` returned no text")
        self.header, self._renew_at = key_header(text, "token"), _renew_at(text.strip())
        return self.header


class AsyncTokenSource:
    """Returns headers with tokens, on an event loop."""

    def __init__(self, token: Callable[[], str | Awaitable[str]]) -> None:
        self._ask = token
        self._held = _Held()
        self._asking = anyio.Lock()

    async def header(self) -> dict[str, str]:
        """Return the header with a token that lasts. Raises: what the function raises."""
        return self._held.fresh() or await self.renewed(self._held.header)

    async def renewed(self, refused: dict[str, str] | None) -> dict[str, str]:
        """Return the header with another token than one that was refused. Raises: what the function raises."""
        async with self._asking:
            if self._held.header is not refused and (fresh := self._held.fresh()):
                return fresh
            answer = self._ask()
            return self._held.take(await answer if isawaitable(answer) else answer)


class SyncTokenSource:
    """Returns headers with tokens, in any thread."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._ask = token
        self._held = _Held()
        self._asking = threading.Lock()

    def header(self) -> dict[str, str]:
        """Return the header with a token that lasts. Raises: what the function raises."""
        return self._held.fresh() or self.renewed(self._held.header)

    def renewed(self, refused: dict[str, str] | None) -> dict[str, str]:
        """Return the header with another token than one that was refused. Raises: what the function raises."""
        with self._asking:
            if self._held.header is not refused and (fresh := self._held.fresh()):
                return fresh
            return self._held.take(self._ask())


def credential_header(api_key: str | None, token: AsyncToken | None) -> dict[str, str]:
    """Return the header of a key or of a token that stays; none for a function. Raises: ValueError, without either."""
    if api_key is not None and token is not None:
        raise ValueError("give `api_key` or `token`: a request carries one of them")
    return key_header(token, "token") if isinstance(token, str) else key_header(api_key)


def _renew_at(text: str) -> float:
    """Return when a token is to be replaced, in Unix seconds: long after now for one that does not say when it ends."""
    now = time.time()
    try:
        part = text.split(".")[1]
        ends_at = float(json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"])
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
        # No token that can be read: it is replaced when it is refused.
        return float("inf")
    left_s = ends_at - now
    return ends_at - min(RENEW_BEFORE_S, left_s / 2) if left_s > 0 else ends_at
