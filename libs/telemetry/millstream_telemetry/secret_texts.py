"""The texts of secret values, taken out of what a handler says: messages of errors, log lines, notes.

A handler that has a secret may put it into any text, most often in the message of an exception. What is replaced is
the value as it is, and as Python, JSON and a URL write it; what a handler makes of a secret otherwise is not known.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from millstream_contracts import MASK

LEAST_CHARS = 4
"""A shorter text is left where it stands: it would be found in words that have nothing to do with it."""
MAX_TEXTS = 1_000
"""From more secrets on a text is masked as a whole."""
_CUT_FROM_CHARS = 500
"""A text of this length or more may have been cut within a secret."""


class SecretTexts:
    """The secrets of one job, or of those of one call."""

    __slots__ = ("_pattern", "texts")

    def __init__(self, values: Iterable[Any]) -> None:
        """Take secret values; of a list or a mapping each value in it is one."""
        forms = {form for value in values for text in _texts(value) for form in _forms(text)}
        # The longest first: one may be the beginning of another.
        self.texts = sorted((form for form in forms if len(form) >= LEAST_CHARS), key=len, reverse=True)
        self._pattern: re.Pattern[str] | None = None
        if self.texts and not self._are_many:
            self._pattern = re.compile("|".join(map(re.escape, self.texts)))

    @classmethod
    def of_all(cls, some: "Iterable[SecretTexts | None]") -> "SecretTexts | None":
        """Return the secrets of several jobs together; None where none of them has one."""
        texts = [text for one in some if one is not None for text in one.texts]
        return cls(texts) if texts else None

    @property
    def _are_many(self) -> bool:
        return len(self.texts) > MAX_TEXTS

    def hidden(self, text: str) -> str:
        """Return a text with a mask in the place of each secret."""
        if not text or not self.texts:
            return text
        if self._pattern is None:
            return MASK
        shown = self._pattern.sub(MASK, text)
        return self._without_ends(shown) if len(text) >= _CUT_FROM_CHARS else shown

    def hidden_in(self, value: Any) -> Any:
        """Return a plain value with its texts masked, keys too; a number that is a secret becomes the mask."""
        match value:
            case str():
                return self.hidden(value)
            case dict():
                return {self.hidden(str(key)): self.hidden_in(one) for key, one in value.items()}
            case list():
                return [self.hidden_in(one) for one in value]
            case bool() | None:
                return value
        return MASK if self.hidden(str(value)) != str(value) else value

    def _without_ends(self, text: str) -> str:
        """Return a text that was cut without the part of a secret at its begin or its end."""
        for secret in self.texts:
            for length in range(min(len(secret) - 1, len(text)), LEAST_CHARS - 1, -1):
                if text.endswith(secret[:length]):
                    text = text[:-length] + MASK
                    break
            for length in range(min(len(secret) - 1, len(text)), LEAST_CHARS - 1, -1):
                if text.startswith(secret[-length:]):
                    text = MASK + text[length:]
                    break
        return text

    def __repr__(self) -> str:
        return f"<{len(self.texts)} secret texts>"


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case bytes():
            yield value.decode(errors="replace")
        case dict():
            for one in value.values():
                yield from _texts(one)
        case list() | tuple():
            for one in value:
                yield from _texts(one)
        case int() | float() if not isinstance(value, bool):
            yield str(value)


def _forms(text: str) -> Iterator[str]:
    """Yield a text as it is, and as others write it; a text of several lines also line by line."""
    for one in (text, *(text.splitlines() if "\n" in text else ())):
        yield one
        yield repr(one)[1:-1]
        yield ascii(one)[1:-1]
        yield json.dumps(one)[1:-1]
        yield json.dumps(one, ensure_ascii=False)[1:-1]
        yield quote(one, safe="")
