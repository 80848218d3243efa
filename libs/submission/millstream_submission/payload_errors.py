"""Turns errors of the JSON Schema validator into errors of fields, in the words of `wording`."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from jsonschema_rs import ValidationError, ValidationErrorKind

from millstream_contracts import BASE64_PATTERN, FieldError
from millstream_submission.field_errors import missing, pointer, quoted
from millstream_submission.wording import A_TIME

MAX_DETAIL_CHARS = 300
MASKED_VALUE = "the value"
"""How the messages of the validator name a value."""

_KINDS: Mapping[str, str] = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "null": "null",
}

_FORMATS: Mapping[str, str] = {
    "date-time": f"expected {A_TIME}",
    "date-time-local": "expected a time without its zone, such as `2026-11-26T15:00:00`",
    "time": "expected a time of day such as `15:00:00Z`",
    "time-local": "expected a time of day without its zone, such as `15:00:00`",
    "date": "expected a date such as `2026-11-26`",
    "duration": "expected a duration in days and smaller units, such as `PT1H30M`",
    "uuid": "expected a UUID such as `019aa2d4-5f1c-7d3e-8a41-0c1d2e3f4a5b`",
    "decimal": "expected a decimal number such as `12.50`",
}


def field_errors(errors: Iterable[ValidationError]) -> Iterator[FieldError]:
    """Yield errors of fields; one error of the validator may be about several fields."""
    for error in errors:
        yield from _field_errors(error)


def _field_errors(error: ValidationError) -> Iterator[FieldError]:
    place, kind = error.instance_path, error.kind
    match kind:
        case ValidationErrorKind.Required(property=name):
            yield _error([*place, name], missing(quoted(name)))
        case ValidationErrorKind.AdditionalProperties(unexpected=names):
            for name in names:
                yield _error([*place, quoted(name)], "unknown field")
        case ValidationErrorKind.AnyOf(context=branches) | ValidationErrorKind.OneOfNotValid(context=branches):
            yield from _of_branches(place, branches)
        case _:
            yield _error(place, _detail(error))


def _of_branches(place: list[str | int], branches: list[list[ValidationError]]) -> Iterator[FieldError]:
    """Yield why a value fits no member of a union, by the member that was meant, where that can be found."""
    branches = list(_leaves(branches, place))
    of_kind = [errors for errors in branches if not _is_of_other_kind(errors, place)]
    meant = [errors for errors in of_kind if not any(_tags(errors, place))]
    if len(meant) == 1:
        yield from field_errors(meant[0])
    elif not of_kind:
        kinds = dict.fromkeys(kind for errors in branches for kind in _kinds(errors[0]))
        yield _error(place, f"expected {' or '.join(kinds)}, got {_shown(branches[0][0].instance)}")
    elif not meant:
        tags = [tag for errors in of_kind for tag in _tags(errors, place)]
        words = dict.fromkeys(quoted(msgspec.json.encode(word).decode()) for _, word in tags)
        error, _ = tags[0]
        yield _error(error.instance_path, f"expected one of {', '.join(words)}")
    elif shared := _shared(meant):
        yield from shared
    elif all(len(errors) == 1 and errors[0].instance_path == place for errors in meant):
        yield _error(place, " or ".join(dict.fromkeys(_detail(errors[0]) for errors in meant)))
    else:
        yield _error(place, "fits none of the forms that it may have")


def _leaves(branches: list[list[ValidationError]], place: list[str | int]) -> Iterator[list[ValidationError]]:
    """Yield the branches of a union, and in place of a branch that is itself one, those of that."""
    for errors in branches:
        match [error.kind for error in errors]:
            case [ValidationErrorKind.AnyOf(context=inner)] if errors[0].instance_path == place:
                yield from _leaves(inner, place)
            case _:
                yield errors


def _shared(branches: list[list[ValidationError]]) -> list[FieldError]:
    """Return the errors that several branches share, such as a missing tag."""
    first, *others = [list(field_errors(errors)) for errors in branches]
    return [error for error in first if all(error in found for found in others)]


def _is_of_other_kind(errors: list[ValidationError], place: list[str | int]) -> bool:
    return isinstance(errors[0].kind, ValidationErrorKind.Type) and errors[0].instance_path == place


def _tags(errors: list[ValidationError], place: list[str | int]) -> Iterator[tuple[ValidationError, Any]]:
    """Yield the errors about the tag of an object, with its value."""
    for error in errors:
        match error.kind:
            case ValidationErrorKind.Enum(options=[only]) | ValidationErrorKind.Constant(expected_value=only) if (
                error.instance_path[:-1] == place
            ):
                yield error, only


def _kinds(error: ValidationError) -> list[str]:
    match error.kind:
        case ValidationErrorKind.Type(types=types):
            # The validator names them in an order of its own.
            return [said for kind, said in _KINDS.items() if kind in types]
    return []


def _shown(value: Any) -> str:
    """Return the kind of a value. The value itself is never shown: it may be a secret."""
    match value:
        case dict():
            return _KINDS["object"]
        case list():
            return _KINDS["array"]
        case str():
            return _KINDS["string"]
        case bool():
            return _KINDS["boolean"]
        case None:
            return _KINDS["null"]
    return "a number with a fraction" if isinstance(value, float) and not value.is_integer() else _KINDS["number"]


def _detail(error: ValidationError) -> str:
    match error.kind:
        case ValidationErrorKind.Format(format=name) if name in _FORMATS:
            return _FORMATS[name]
        case ValidationErrorKind.Pattern(pattern=pattern) if pattern == BASE64_PATTERN:
            return "expected base64, with its padding"
        case ValidationErrorKind.FalseSchema():
            return "nothing may stand here"
        case ValidationErrorKind.Type():
            return f"expected {' or '.join(_kinds(error))}, got {_shown(error.instance)}"
        case _:
            return error.message


def _error(place: list[str | int], detail: str) -> FieldError:
    if len(detail) > MAX_DETAIL_CHARS:
        detail = detail[:MAX_DETAIL_CHARS] + "…"
    return FieldError("/payload" + pointer(*place), detail)
