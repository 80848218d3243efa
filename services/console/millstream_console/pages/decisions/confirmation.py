"""What a person fills in to confirm a decision, and what is wrong with it."""

from msgspec import Struct

from millstream import Canary
from millstream_console.pages.decisions.chosen import Tally
from millstream_console.web.visit import Form
from millstream_contracts import JobCount

TYPED_ABOVE = 100
"""A decision about more jobs than this asks for their number."""

DEFAULT_RATE = "50"
DEFAULT_CANARY = "20"
DEFAULT_STOP_ABOVE = "10"

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

    @property
    def rate_per_s(self) -> float | None:
        """Return the jobs a second; None for what is no number of them."""
        return _number(self.rate, 0.01, 10_000)

    def trial(self, is_redrive: bool) -> Canary | None:
        """Return the canary that is asked for."""
        if not is_redrive or self.how != "canary":
            return None
        count, share = _number(self.canary, 1, 1_000), _number(self.stop_above, 0, 100)
        return None if count is None or share is None else Canary(int(count), share / 100)


def read_confirmation(form: Form) -> Confirmation:
    """Return what a form has."""
    return Confirmation(
        told=form.text("told"),
        typed=form.text("sure"),
        how=form.text("how", "canary"),
        canary=form.text("canary", DEFAULT_CANARY),
        stop_above=form.text("stop_above", DEFAULT_STOP_ABOVE).rstrip(" %"),
        rate=form.text("rate", DEFAULT_RATE),
    )


def faults_of(confirmation: Confirmation, tally: Tally, *, is_redrive: bool) -> dict[str, str]:
    """Return what is wrong, by field; nothing where the decision may be carried out.

    The number is asked for here too: a page can be older than what it tells.
    """
    faults: dict[str, str] = {}
    told = _whole(confirmation.told)
    if needs_number(tally.count):
        if told is None or told <= TYPED_ABOVE or tally.count.value > 2 * told:
            faults["sure"] = f"There are {tally.count.value:,} of them by now. Type that number to confirm."
        elif _whole(confirmation.typed) != told:
            faults["sure"] = f"Type {told} to confirm: that is how many jobs this is about."
    if confirmation.rate_per_s is None:
        faults["rate"] = "A rate is a number from 0.01 to 10,000."
    if is_redrive and confirmation.how == "canary" and confirmation.trial(is_redrive) is None:
        faults["canary"] = "A canary has from 1 to 1,000 jobs, and stops above 0 to 100 per cent."
    return faults


def needs_number(count: JobCount) -> bool:
    """Whether a decision about so many jobs asks for their number."""
    return count.value > TYPED_ABOVE


def _whole(text: str) -> int | None:
    digits = "".join(character for character in text if character not in ", ~\N{NO-BREAK SPACE}")
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS else None


def _number(text: str, least: float, most: float) -> float | None:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if least <= value <= most else None
