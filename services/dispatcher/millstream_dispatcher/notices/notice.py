"""A notice: that an incident has opened, goes on, or is resolved; or that several were held back."""

from datetime import timedelta
from typing import Literal

from msgspec import Struct

from millstream_contracts import Incident, moment

Kind = Literal["opened", "reminder", "resolved", "digest"]

_HEADS = {"opened": "", "reminder": "Still: ", "resolved": "Resolved: ", "digest": ""}


class Notice(Struct, frozen=True):
    """What people are told."""

    key: str
    """The same for the same notice, whichever dispatcher makes it."""
    kind: Kind
    rule: str
    subject: str
    text: str
    about: str = ""
    """The job type that it is about, if any."""


def notice_of(incident: Incident, kind: Kind, now_ms: int) -> Notice:
    """Return the notice of an incident in its present state."""
    number = "resolved" if kind == "resolved" else str(incident.notices + 1)
    since = f"Since {moment(incident.opened_ms):%Y-%m-%d %H:%M} UTC"
    lasted = timedelta(seconds=round((now_ms - incident.opened_ms) / 1000))
    ended = f", for {lasted}." if kind == "resolved" else f" ({lasted})."
    return Notice(
        key=f"incident:{incident.id}:{incident.opened_ms}:{number}",
        kind=kind,
        rule=incident.rule,
        subject=f"[Millstream] {_HEADS[kind]}{incident.summary}",
        text=f"{_HEADS[kind]}{incident.summary}\n\n{since}{ended}\nRule: {incident.rule}\n",
        about=incident.key,
    )


def digest_of(channel: str, hour: int, held: int) -> Notice:
    """Return the one notice in place of those that a channel was not sent in an hour."""
    subject = f"[Millstream] {held} more notices were held back"
    at = f"{moment(hour * 3_600_000):%Y-%m-%d %H:%M}"
    text = (
        f"In the hour from {at} UTC {held} more notices were due than a channel gets in an hour.\n"
        "`millstream incidents` lists what is open.\n"
    )
    return Notice(f"digest:{channel}:{hour}", "digest", "digest", subject, text)
