"""Turns msgspec's errors into errors of fields, each with its RFC 6901 pointer and in the words of `wording`."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, inspect

from millstream_contracts import FieldError, did_you_mean
from millstream_submission.errors import invalid, malformed
from millstream_submission.whole_numbers import Mend
from millstream_submission.wording import NO_SUCH_TIME, TEXT_KEYS, in_plain_words

T = TypeVar("T")

TOO_DEEP = "nested too deeply to be read"

# Names in a refusal come from the submitter and are cut, so that no answer is larger than what it answers.
MAX_QUOTED_CHARS = 64
MAX_POINTER_CHARS = 256

_PART = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]")
_MESSAGE = re.compile(
    r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>(?:\.\w+|\[\d+\]|\[\.\.\.\])*)`)?", re.DOTALL
)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`", re.DOTALL)
# What a `__post_init__` complains of begins with the name of the field.
_OWN = re.compile(r"`(?P<field>\w+)` (?P<detail>.*)", re.DOTALL)
_ENUM = re.compile(r"Invalid enum value '?(?P<word>.*?)'?", re.DOTALL)


def decode(
    decoder: Callable[[Any], T], body: bytes | Raw, described: Any = Any, prefix: str = "", mend: Mend | None = None
) -> T:
    """Return the value of bytes. Raises: MalformedError, InvalidError.

    `described` is the type with whose names errors are described; `prefix` is the pointer to the bytes in the body;
    `mend` may correct a body that is refused.
    """
    try:
        return decoder(body)
    except msgspec.ValidationError as error:
        # What is broken behind the place of the refusal was not decoded yet.
        if mend and (mended := decode(partial(mend, error), body, prefix=prefix)) is not None:
            return decode(decoder, mended, described, prefix, mend)
        raise invalid(field_error(error, described, prefix)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refusal = malformed(error, prefix)
        # It is MessagePack all right, and no object of JSON.
        raise invalid(FieldError(prefix, TEXT_KEYS)) if TEXT_KEYS in refusal.detail else refusal from None
    except RecursionError:
        raise invalid(FieldError(prefix, TOO_DEEP)) from None
    except ValueError:
        # Of timestamps at the very ends of the calendar, which msgspec takes and `datetime` does not.
        raise invalid(FieldError(prefix, NO_SUCH_TIME)) from None


def missing(name: str) -> str:
    """Return the detail for a missing required field."""
    return f"`{name}` is missing"


def quoted(text: str) -> str:
    """Return a text of the client as a refusal may repeat it."""
    return text if len(text) <= MAX_QUOTED_CHARS else text[:MAX_QUOTED_CHARS] + "…"


def pointer(*parts: str | int) -> str:
    """Return the RFC 6901 pointer of these keys and indexes, cut when it is very long."""
    text = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return text if len(text) <= MAX_POINTER_CHARS else text[:MAX_POINTER_CHARS] + "…"


def field_error(error: msgspec.ValidationError, model: Any = Any, prefix: str = "") -> FieldError:
    """Return msgspec's error as the error of one field.

    `model` is the type that was decoded into, which knows the possible names. `prefix` is the pointer to the decoded
    value in the body.
    """
    message = _MESSAGE.fullmatch(str(error))
    assert message is not None  # the first group matches any text
    what, path = message["what"], message["path"] or ""
    # The key of a mapping is not known, and so nothing behind it has a pointer.
    known, is_value, _ = path.partition("[...]")
    parts = [part["name"] or int(part["index"]) for part in _PART.finditer(known)]
    place = _type_at(_type_info(model), parts)
    if unknown := _UNKNOWN.fullmatch(what):
        name = quoted(unknown["field"])
        return FieldError(prefix + pointer(*parts, name), f"unknown field{did_you_mean(name, _fields(place))}")
    if absent := _MISSING.fullmatch(what):
        return FieldError(prefix + pointer(*parts, absent["field"]), missing(absent["field"]))
    if own := _OWN.fullmatch(what):
        return FieldError(prefix + pointer(*parts, own["field"]), own["detail"])
    if enum := _ENUM.fullmatch(what):
        return FieldError(prefix + pointer(*parts), _enum_detail(enum["word"], _words(place)))
    if message["key"] and what.startswith("Expected `str`, got"):
        return FieldError(prefix + pointer(*parts), TEXT_KEYS)
    where = "a key: " if message["key"] else "a value: " if is_value else ""
    return FieldError(prefix + pointer(*parts), where + in_plain_words(what))


# A batch may have the same mistake ten thousand times.
_type_info = lru_cache(maxsize=64)(inspect.type_info)


def _enum_detail(word: str, known: Sequence[str]) -> str:
    choice = ", ".join(f"`{value}`" for value in known)
    return f"expected one of {choice}, got `{quoted(word)}`{did_you_mean(quoted(word), known)}"


def _type_at(place: inspect.Type, parts: Iterable[str | int]) -> inspect.Type:
    for part in parts:
        place = _not_null(place)
        if isinstance(place, inspect.StructType):
            place = next((field.type for field in place.fields if field.encode_name == part), inspect.AnyType())
        elif isinstance(place, inspect.ListType):
            place = place.item_type
        else:
            return inspect.AnyType()
    return _not_null(place)


def _not_null(place: inspect.Type) -> inspect.Type:
    if isinstance(place, inspect.Metadata):
        return _not_null(place.type)
    if isinstance(place, inspect.UnionType):
        return next((_not_null(each) for each in place.types if not isinstance(each, inspect.NoneType)), place)
    return place


def _fields(place: inspect.Type) -> list[str]:
    return [field.encode_name for field in place.fields] if isinstance(place, inspect.StructType) else []


def _words(place: inspect.Type) -> list[str]:
    if isinstance(place, inspect.EnumType):
        return [str(member.value) for member in place.cls]
    return [str(value) for value in place.values] if isinstance(place, inspect.LiteralType) else []
