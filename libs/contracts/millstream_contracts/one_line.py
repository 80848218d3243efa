"""Makes foreign text fit one line of a log, a terminal or a probe."""

MAX_LINE_CHARS = 300


def one_line(text: object, limit: int = MAX_LINE_CHARS) -> str:
    """Return a text on one line of at most `limit` characters: blanks are single, and nothing moves a cursor."""
    words = " ".join(str(text).split())
    shown = "".join(character if character.isprintable() else "\ufffd" for character in words)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
