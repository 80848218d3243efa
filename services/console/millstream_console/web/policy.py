"""The headers of every answer: what a browser may load, and from where."""

from collections.abc import Iterable, Mapping

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)


def security_headers(frame_ancestors: Iterable[str] = ()) -> Mapping[str, str]:
    """Return the headers; `frame_ancestors` are the origins that may show the page in a frame."""
    ancestors = " ".join(frame_ancestors) or "'none'"
    return {
        "Content-Security-Policy": _POLICY.format(ancestors=ancestors),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
