"""The Python types of texts in JSON: by their format, or by what the keys of an object are."""

from collections.abc import Mapping
from typing import Any

from millstream_cli.stubs.python_type import TEXT, PythonType

Schema = Mapping[str, Any]

_FORMATS = {
    "date-time": "datetime",
    "date-time-local": "datetime",
    "time": "time",
    "time-local": "time",
    "date": "date",
    "duration": "timedelta",
    "uuid": "UUID",
    "decimal": "Decimal",
    "path": "Path",
}
"""The types of texts with a format, as `DataType` writes it."""

_INTEGER_KEYS = "^-?(?:0|[1-9][0-9]*)$"
_KEY_TYPES = {"date-time", "date", "uuid"}


def text_type(schema: Schema) -> PythonType:
    """Return the type of a text, by its format."""
    formats = [one.get("format") for one in (schema, *schema.get("anyOf", ())) if isinstance(one, Mapping)]
    if schema.get("contentEncoding") == "base64":
        return PythonType("bytes", "text")
    known = next((_FORMATS[one] for one in formats if one in _FORMATS), None)
    return PythonType(known, "text") if known else TEXT


def key_type(names: Schema) -> str:
    """Return the type of the keys of an object, by the schema of their names."""
    if names.get("pattern") == _INTEGER_KEYS:
        return "int"
    return _FORMATS[names["format"]] if names.get("format") in _KEY_TYPES else "str"
