"""Says on the next page what the last request did: in a cookie, so that it works without script."""

import base64
from typing import Literal

import msgspec
from litestar.datastructures import Cookie
from msgspec import Struct

COOKIE = "millstream-toast"
_KEEP_S = 60


class Toast(Struct, frozen=True, omit_defaults=True):
    """What happened, in a sentence."""

    text: str
    tone: Literal["g", "w", "b"] = "g"
    """Well, not as a whole, not at all."""
    undo: str = ""
    """Where a POST takes it back; empty where nothing does."""


def toast_cookie(toast: Toast | None, path: str) -> Cookie:
    """Return the cookie that has a toast; without one, that which removes it."""
    value = base64.urlsafe_b64encode(msgspec.json.encode(toast)).decode() if toast else ""
    return Cookie(COOKIE, path=path or "/", value=value, max_age=_KEEP_S if toast else 0, httponly=True)


def read_toast(value: str | None) -> Toast | None:
    """Return the toast in a cookie; None where there is none that can be read."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(value or ""), type=Toast) if value else None
    except (ValueError, msgspec.MsgspecError):
        return None
