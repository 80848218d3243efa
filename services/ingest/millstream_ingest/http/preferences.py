"""Reads the `Prefer` header, and ignores unknown preferences.

Source: RFC 7240.
"""

import re

from msgspec import Struct

from millstream_contracts import FieldError, limits
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import BAD_REQUEST
from millstream_streams import Durability
from millstream_submission import MAX_QUOTED_CHARS

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of RFC 9110
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_PREFERENCE = re.compile(rf"\s*({_TOKEN})(?:\s*=\s*(?:({_TOKEN})|{_QUOTED})?)?\s*((?:;[^,]*)?)(?:,|$)")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,3})?")


class Preferences(Struct, frozen=True):
    """The preferences that ingest understands."""

    wait_s: float = 0.0
    """For how long an answer may be held back until the job has ended; at most `limits.MAX_WAIT_S`."""
    strict: bool = False
    """Whether a batch with one bad item shall be refused as a whole."""

    durability: Durability | None = None
    """The confirmation that a submission asks for before it is answered as accepted."""

    def applied(self, *names: str) -> dict[str, str]:
        """Return the header `Preference-Applied`, where one of these preferences was given."""
        if self == NO_PREFERENCES:
            return {}
        words = {
            "wait": f"wait={self.wait_s:g}" if self.wait_s > 0 else "",
            "handling": "handling=strict" if self.strict else "",
            "durability": f"durability={self.durability}" if self.durability else "",
        }
        given = ", ".join(words[name] for name in names if words[name])
        return {"Preference-Applied": given} if given else {}


NO_PREFERENCES = Preferences()


def parse_preferences(header: str) -> Preferences:
    """Read the `Prefer` header of a request, several joined by commas; of a repeated preference the first counts.

    Raises: IngestError, when a known preference has a value that is not.
    """
    given: dict[str, str] = {}
    for name, value in _pairs(header):
        given.setdefault(name, value)
    return Preferences(
        wait_s=parse_wait(given["wait"], "Prefer:") if "wait" in given else 0.0,
        strict=given.get("handling") == "strict",
        durability=_durability(given["durability"]) if "durability" in given else None,
    )


def parse_wait(text: str, pointer: str) -> float:
    """Return a number of seconds to wait, cut to the limit. Raises: IngestError (400)."""
    if not _SECONDS.fullmatch(text):
        raise _refused(pointer, f"expected `wait` to be seconds from 0 to {limits.MAX_WAIT_S:g}", text)
    return min(float(text), limits.MAX_WAIT_S)


def _durability(text: str) -> Durability:
    try:
        return Durability(text)
    except ValueError:
        known = " or ".join(f"`{one}`" for one in Durability)
        raise _refused("Prefer:", f"expected `durability` to be {known}", text) from None


def _refused(pointer: str, expected: str, text: str) -> IngestError:
    got = f"{expected}, got `{text[:MAX_QUOTED_CHARS]}`"
    return IngestError(BAD_REQUEST, errors=[FieldError(pointer, got)])


def _pairs(header: str) -> list[tuple[str, str]]:
    """Return names in lower case and values; a malformed part ends the list."""
    pairs = []
    at = 0
    while at < len(header) and (match := _PREFERENCE.match(header, at)):
        pairs.append((match[1].lower(), match[2] or match[3] or ""))
        at = match.end()
    return pairs
