"""A setting that is kept out of logs, tracebacks and error messages."""


class Secret:
    """A text that only `reveal()` returns."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def revealed(secret: Secret | None) -> str | None:
    """Return the text of a secret that need not be set, for the call that needs it."""
    return None if secret is None else secret.reveal()
