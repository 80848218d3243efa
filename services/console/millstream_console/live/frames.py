"""Writes server-sent events that htmx and the script of the console understand.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, and docs of the extension hx-sse of htmx 4.
"""

from collections.abc import Iterable

TICK = b"event: tick\ndata: .\n\n"
"""What a page shows was read just now."""

PULSE = b"event: pulse\ndata: .\n\n"
"""The stream is there; what a page shows is as it was read last."""

AWAY = b"event: away\ndata: .\n\n"
"""What a page shows could not be read."""


SIGNED_OUT = b"event: signed-out\ndata: .\n\n"
"""The session that the page is read with has ended: the script leads to the page that signs in."""


class Fragments:
    """Remembers the live blocks of a page, to send those that have changed."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    def changed(self, blocks: Iterable[tuple[str, str]]) -> bytes:
        """Return the frames of the blocks that are not what they were, and a tick."""
        parts: list[bytes] = []
        for name, markup in blocks:
            if self._shown.get(name) != markup:
                self._shown[name] = markup
                parts.append(_fragment(name, markup))
        return b"".join([*parts, TICK])

    def all(self) -> bytes:
        """Return the frames of all blocks, and a tick; nothing where none was read yet."""
        if not self._shown:
            return b""
        return b"".join([*(_fragment(name, markup) for name, markup in self._shown.items()), TICK])


def _fragment(name: str, markup: str) -> bytes:
    part = f'<hx-partial hx-target="#{name}" hx-swap="innerMorph">{markup}</hx-partial>'
    # Every line, also an empty one: it may be part of a text that keeps its lines.
    lines = "\n".join(f"data: {line}" for line in part.replace("\r", "").split("\n"))
    return f"{lines}\n\n".encode()
