"""What a person fills in to confirm a decision, and what is wrong with it."""

import json
from typing import Any

from msgspec import Struct

from millstream import Canary, ExportOptions
from millstream_console.pages.decisions.chosen import Tally
from millstream_console.pages.decisions.decision import Decision
from millstream_console.pages.typed_job import PRIORITIES
from millstream_console.web.visit import Form
from millstream_contracts import ExportFormat, JobCount, Priority, PriorityName

DEFAULT_RATE = "50"
DEFAULT_CANARY = "20"
DEFAULT_STOP_ABOVE = "10"

EXPORT_FORMATS: tuple[ExportFormat, ...] = ("jsonl", "csv", "parquet")
MAX_NAME_CHARS = 200

_MOST_DIGITS = 9


class Confirmation(Struct, frozen=True):
    """The fields of the form, as text, so that what was typed comes back."""

    told: str = ""
    """The number that the page had told."""
    typed: str = ""
    how: str = "canary"
    """`canary`, or `all`."""
    canary: str = DEFAULT_CANARY
    stop_above: str = DEFAULT_STOP_ABOVE
    """In per cent."""
    rate: str = DEFAULT_RATE
    patch: str = "{}"
    """A JSON Merge Patch."""
    dry_run: bool = False
    """Whether it is only to be shown what would be done."""
    fresh: bool = False
    """Whether durable handlers begin anew."""
    format: str = EXPORT_FORMATS[0]
    payloads: bool = False
    """Whether payload and result are exported too."""
    name: str = ""
    """The start of the file's name."""
    priority: str = Priority.HIGH.value

    @property
    def patch_members(self) -> dict[str, Any] | None:
        """Return the patch; None for what is no JSON object, or changes nothing."""
        try:
            found = json.loads(self.patch)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) and found else None

    @property
    def new_priority(self) -> PriorityName:
        """Return the priority that is asked for."""
        return priority_named(self.priority)

    @property
    def rate_per_s(self) -> float | None:
        """Return the jobs a second; None for what is no number of them."""
        return _number(self.rate, 0.01, 10_000)

    @property
    def export_options(self) -> ExportOptions:
        """Return how jobs are written; a format that there is not is JSON lines."""
        known = next((one for one in EXPORT_FORMATS if one == self.format), EXPORT_FORMATS[0])
        return ExportOptions(format=known, payloads=self.payloads, name=self.name or "export")

    def trial(self, decision: Decision) -> Canary | None:
        """Return the canary that is asked for."""
        if not decision.redrives or self.how != "canary":
            return None
        count, share = _number(self.canary, 1, 1_000), _number(self.stop_above, 0, 100)
        return None if count is None or share is None else Canary(int(count), share / 100)


def priority_named(text: str) -> PriorityName:
    """Return a priority by its name; `normal` where there is none of this name."""
    return next((one for one in PRIORITIES if one == text), "normal")


def read_confirmation(form: Form) -> Confirmation:
    """Return what a form has."""
    return Confirmation(
        told=form.text("told"),
        typed=form.text("sure"),
        how=form.text("how", "canary"),
        canary=form.text("canary", DEFAULT_CANARY),
        stop_above=form.text("stop_above", DEFAULT_STOP_ABOVE).rstrip(" %"),
        rate=form.text("rate", DEFAULT_RATE),
        patch=form.text("patch", "{}"),
        dry_run=form.text("dry_run") == "1",
        fresh=form.text("fresh") == "1",
        format=form.text("format"),
        payloads=form.text("payloads") == "1",
        name=form.text("name"),
        priority=form.text("priority"),
    )


def faults_of(confirmation: Confirmation, tally: Tally, decision: Decision) -> dict[str, str]:
    """Return what is wrong, by field; nothing where the decision may be carried out.

    The number is asked for here too: a page can be older than what it tells.
    """
    faults: dict[str, str] = {}
    told = _whole(confirmation.told)
    if needs_number(tally.count, decision) and not confirmation.dry_run:
        if told is None or told <= decision.asks_above or tally.count.value > 2 * told:
            faults["sure"] = f"There are {tally.count.value:,} of them by now. Type that number to confirm."
        elif _whole(confirmation.typed) != told:
            faults["sure"] = f"Type {told} to confirm: that is how many jobs this is about."
    if len(confirmation.name) > MAX_NAME_CHARS:
        faults["name"] = f"A name has at most {MAX_NAME_CHARS} characters."
    if confirmation.rate_per_s is None:
        faults["rate"] = "A rate is a number from 0.01 to 10,000."
    if decision.name == "patch" and confirmation.patch_members is None:
        faults["patch"] = 'A patch is a JSON object of what changes, such as {"region": "eu", "legacy": null}.'
    if decision.redrives and confirmation.how == "canary" and confirmation.trial(decision) is None:
        faults["canary"] = "A canary has from 1 to 1,000 jobs, and stops above 0 to 100 per cent."
    return faults


def needs_number(count: JobCount, decision: Decision) -> bool:
    """Whether a decision about so many jobs asks for their number."""
    return count.value > decision.asks_above


def _whole(text: str) -> int | None:
    digits = "".join(character for character in text if character not in ", ~\N{NO-BREAK SPACE}")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS else None


def _number(text: str, least: float, most: float) -> float | None:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if least <= value <= most else None
