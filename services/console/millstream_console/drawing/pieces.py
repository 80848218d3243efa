"""The smallest pieces of pages: texts of users, icons, states and cells.

A list has a dozen of them in each of hundreds of rows. A function that puts strings together takes a third of the time
of a template's macro, and a tenth of that of `Markup.format`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from markupsafe import Markup, escape

from millstream_console.drawing.numbers import grouped
from millstream_console.drawing.user_text import plain

_TONES = {
    "a": ("running", "starting", "cancelling", "canary", "waiting"),
    "q": ("pending",),
    "g": ("succeeded", "ok", "done"),
    "q g": ("active", "enabled"),
    "w": ("parked", "stalled", "expired", "paused", "orphan", "draining", "half-open", "warn", "retrying"),
    "b": ("dead", "failed", "lost", "open", "bad"),
}
_TONE_OF = {state: tone for tone, states in _TONES.items() for state in states}
_MOST_ICONS = 256
"""A newer API may have states that the console does not know."""
_SHAPES = {"pending": "queued", "enabled": "active", "disabled": "paused", "retrying": "scheduled", "orphan": "warn"}


def user(text: object) -> Markup:
    """Return a text of users, isolated from its surroundings."""
    return Markup(f"<bdi>{plain(text)}</bdi>")  # noqa: S704 - `plain` escapes


def n(value: float | None, cls: str = "") -> Markup:
    """Return a cell with a number: to the right and grouped, zero quiet."""
    look = f"z {cls}" if value == 0 else cls
    return Markup(f'<td class="n {escape(look)}">{escape(grouped(value))}</td>')  # noqa: S704 - escaped


def meter(percent: float, cls: str = "") -> Markup:
    """Return a bar that is full at 100."""
    return Markup(  # noqa: S704 - escaped
        f'<svg class="meter {escape(cls)}" role="img" aria-label="{escape(percent)} %">'
        f'<rect width="{escape(percent)}%" height="100%"/></svg>'
    )


def summed(values: Sequence[float] | None, word: str) -> Markup:
    """Return what a line without axes shows, for those who do not see it."""
    return Markup(f'<span class="sr">{escape(grouped(sum(values or ())))} {escape(word)}</span>')  # noqa: S704 - escaped


def late(age_s: float, late_s: float) -> str:
    """Return the class of an age that may be late."""
    return "warn" if age_s > late_s else "" if age_s else "z"


def pieces(asset: Callable[[str], str]) -> Mapping[str, Callable[..., str]]:
    """Return all pieces by their names, `icon` and `st` among them; `asset` returns the address of a file."""

    @lru_cache(_MOST_ICONS)
    def icon(name: str, cls: str = "i") -> Markup:
        """Return an icon of static/icons.svg, by its id."""
        file = f"{asset('icons.svg')}#{name}"
        return Markup(  # noqa: S704 - escaped
            f'<svg class="{escape(cls)}" aria-hidden="true"><use href="{escape(file)}"/></svg>'
        )

    def st(state: str, word: str | None = None) -> Markup:
        """Return a state: shape and word always, its tone only helps."""
        shape = icon(f"s-{_SHAPES.get(state, state)}")
        return Markup(f'<span class="st {_TONE_OF.get(state, "")}">{shape}{escape(word or state)}</span>')  # noqa: S704 - escaped

    return {"user": user, "n": n, "meter": meter, "summed": summed, "late": late, "icon": icon, "st": st}
