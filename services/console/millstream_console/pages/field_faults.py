"""Says what is wrong with a form, by field: what the API or the client refuses, and what cannot be read."""

import re
from collections.abc import Callable

from millstream import ApiError, UnavailableError
from millstream.errors import describe
from millstream_console.pages.typed_fields import FieldFaultError

FieldOf = Callable[[str], tuple[str, str]]
"""Gives the field of a form at a place of what the API takes, '' where it has none, and the place within the field."""

_AT = re.compile(r"(?P<says>.+) - at `\$\.?(?P<field>\w*).*`")


def faults_of(error: Exception, field_of: FieldOf) -> dict[str, str]:
    """Return what is wrong, by field of the form; of no field at ''.

    Raises: UnavailableError, since then nothing is known.
    """
    if isinstance(error, UnavailableError):
        raise error
    if isinstance(error, FieldFaultError):
        return {error.field: str(error)}
    if not isinstance(error, ApiError):
        return _faults_of_client(error, field_of)
    faults: dict[str, str] = {}
    for fault in error.problem.errors:
        field, inside = field_of(fault.pointer)
        place = f"`/{inside}`: " if inside else ""
        faults[field] = " ".join(filter(None, (faults.get(field), f"{place}{fault.detail}.")))
    return faults or {"": describe(error.problem)}


def _faults_of_client(error: Exception, field_of: FieldOf) -> dict[str, str]:
    """Return what the client refuses to send: it names the field of the API, and none for a payload."""
    match = _AT.search(str(error))
    if match is None:
        return {"payload": str(error)}
    return {field_of(match["field"])[0]: f"{match['says'].rpartition(': ')[2]}."}
