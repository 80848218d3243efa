"""Finds words of Python in a text for clients, who need not know the language."""

import re

_PYTHON = re.compile(
    r"\b(?:str|int|float|bool|dict|tuple|None|True|False|datetime|timedelta|hashable|regex|codec|msgspec|Struct|repr)\b"
    r"|\| null|\(\?|\\x|unhashable|NoneType|<class |Traceback|keyword argument|in the '\w+' keyword"
)


def python_in(text: str) -> list[str]:
    """Return the words of Python in a text."""
    return _PYTHON.findall(text)
