"""Checks the URL of a call before any name is resolved, for ingest and for the worker that makes the call."""

from collections.abc import Sequence

import httpx2

from millstream_contracts import MAX_URL_CHARS
from millstream_webhooks.addresses import Network, judge, parse_address
from millstream_webhooks.errors import AddressError

NETWORKS_SETTING = "MILLSTREAM_OUTGOING_NETWORKS"
"""What names the private networks that calls of jobs and webhooks may go to."""


def check_form(url: str) -> httpx2.URL:
    """Return a URL that a call may be made to, wherever it leads. Raises: AddressError."""
    if len(url) > MAX_URL_CHARS:
        raise AddressError(f"the URL has {len(url)} characters; the limit is {MAX_URL_CHARS}")
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError, UnicodeError):
        raise AddressError("the URL cannot be read: write it as https://host/path") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise AddressError("the URL is no address of a receiver: write it as https://host/path")
    if parsed.userinfo:
        raise AddressError(
            "the URL holds credentials, which would be shown with the job: a signature takes their place"
        )
    return parsed.copy_with(fragment=None)


def check_url(url: str, allowed: Sequence[Network] = (), *, setting: str = NETWORKS_SETTING) -> httpx2.URL:
    """Return a URL that a call may be made to, as far as it shows without DNS.

    `setting` is what names the allowed networks, for the error. Raises: AddressError.
    """
    parsed = check_form(url)
    if (address := parse_address(parsed.host)) and (why := judge(address, allowed)):
        raise AddressError(refusal(why, setting))
    if parsed.host.rstrip(".") == "localhost" and (why := judge_localhost(allowed)):
        raise AddressError(refusal(why, setting))
    return parsed


def judge_localhost(allowed: Sequence[Network]) -> str | None:
    """Return why calls may not go to this machine; None where one of its addresses is allowed."""
    reasons = [judge(address, allowed) for text in ("127.0.0.1", "::1") if (address := parse_address(text))]
    return next(iter(reasons)) if all(reasons) else None


def refusal(why: str, setting: str = NETWORKS_SETTING) -> str:
    """Return why a call is refused, with what an operator may do about it."""
    return f"{why}; {setting} names the private networks that calls may go to"
