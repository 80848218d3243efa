"""Reads a settings Struct from environment variables: all of it, or every reason why not.

`MILLSTREAM_<FIELD>` gives a field its value, `MILLSTREAM_<FIELD>_FILE` names a file that holds it. Whoever
misspells a variable learns it at the start and not from a default that was silently used.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

from millstream_cli.errors import SettingsError
from millstream_cli.secret import Secret
from millstream_contracts import did_you_mean

PREFIX = "MILLSTREAM_"

S = TypeVar("S", bound=msgspec.Struct)

_FILE = "_FILE"

# Kubernetes gives every container the addresses of all services around it: one that is called `millstream` or
# `millstream-ingest` makes variables such as MILLSTREAM_INGEST_SERVICE_HOST, and MILLSTREAM_PORT=tcp://10.0.0.7:80.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_SERVICE_LINK_PORT = re.compile(r"(tcp|udp|sctp)://")

# Up to the last @: a password that was not escaped may have one in it.
_USER_INFO = re.compile(r"(?<=://)\S*@")


def read_settings(
    kind: type[S],
    environ: Mapping[str, str],
    *,
    options: Mapping[str, object] | None = None,
    known: Iterable[str] = (),
) -> S:
    """Return the settings; an empty variable counts as unset.

    `options` come from the command line, by field name, and win over variables; None is one that was not given.
    `known` are fields of other services: their variables are no mistake here.

    Raises: SettingsError, with a line for everything that is wrong.
    """
    reader = _Reader(environ)
    fields = msgspec.structs.fields(kind)
    reader.refuse_unknown({*known, *(field.name for field in fields)})
    hints = get_type_hints(kind, include_extras=True)
    given = {name: value for name, value in (options or {}).items() if value is not None}
    values = {field.name: reader.value(field.name, hints[field.name], given) for field in fields}
    return reader.build(kind, {name: value for name, value in values.items() if value is not msgspec.UNSET})


def mask_url(url: str) -> str:
    """Return the address without the user name and the password in it."""
    return _USER_INFO.sub("***@", url)


class _Reader:
    """Collects values, and what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._variables = {
            name: value.strip() for name, value in environ.items() if _is_ours(name, value) and value.strip()
        }
        self._problems: list[str] = []

    def refuse_unknown(self, known: set[str]) -> None:
        bare = {name.upper() for name in known}
        for variable in sorted(self._variables):
            name = variable.removeprefix(PREFIX)
            if name not in bare and name.removesuffix(_FILE) not in bare:
                # Compared without the prefix: with it, everything resembles everything.
                hint = did_you_mean(name, bare).replace("`", f"`{PREFIX}", 1)
                self._problems.append(f"{variable} is no setting{hint}")

    def value(self, field: str, hint: Any, options: Mapping[str, object]) -> Any:
        """Return the converted value, or UNSET when there is none or it is wrong."""
        if field in options:
            return self._converted(f"--{field.replace('_', '-')}", options[field], hint)
        variable = PREFIX + field.upper()
        text, file = self._variables.get(variable), self._variables.get(variable + _FILE)
        if text is not None and file is not None:
            self._problems.append(f"{variable} and {variable}{_FILE} are both set: keep one of them")
        elif text is not None:
            return self._converted(variable, text, hint)
        elif file is not None:
            return self._from_file(variable + _FILE, Path(file), hint)
        return msgspec.UNSET

    def build(self, kind: type[S], values: dict[str, Any]) -> S:
        """Return the Struct. Raises: SettingsError."""
        if self._problems:
            raise SettingsError(self._problems)
        try:
            return kind(**values)
        except ValueError as error:  # what fields have to say about each other
            raise SettingsError([str(error)]) from None

    def _from_file(self, variable: str, path: Path, hint: Any) -> Any:
        try:
            text = path.read_text("utf-8").rstrip("\r\n")
        except OSError as error:
            self._problems.append(f"{variable}={path}: cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._problems.append(f"{variable}={path}: is not UTF-8 text")
        else:
            return self._converted(variable, text, hint)
        return msgspec.UNSET

    def _converted(self, source: str, value: object, hint: Any) -> Any:
        kind = _kind(hint)
        if isinstance(value, str):
            value = _prepared(value, kind)
        try:
            return msgspec.convert(value, hint, strict=False, dec_hook=_from_text)
        except (msgspec.ValidationError, ValueError):
            self._problems.append(f"{source}={_shown(value, kind)}: expected {_allowed(kind)}")
        return msgspec.UNSET


def _is_ours(name: str, value: str) -> bool:
    if not name.startswith(PREFIX) or _SERVICE_LINK.search(name):
        return False
    return not (name.endswith("_PORT") and _SERVICE_LINK_PORT.match(value))


def _kind(hint: Any) -> inspect.Type:
    """Return what a field holds when it is not None, its description kept."""
    kind = inspect.type_info(hint)
    if isinstance(kind, inspect.UnionType):
        kind = next(member for member in kind.types if not isinstance(member, inspect.NoneType))
    return kind


def _bare(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _prepared(text: str, kind: inspect.Type) -> object:
    match _bare(kind):
        case inspect.VarTupleType():
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case inspect.LiteralType():
            return text.lower()
        case _:
            return text


def _from_text(kind: type, value: Any) -> Any:
    if kind in {Path, Secret} and isinstance(value, str):
        return kind(value)
    raise ValueError(f"no {kind.__name__}")


def _shown(value: object, kind: inspect.Type) -> str:
    match _bare(kind):
        case inspect.CustomType(cls=cls) if cls is Secret:
            return "***"
        case inspect.VarTupleType() if isinstance(value, tuple):
            return ",".join(map(str, value))
        case _:
            return mask_url(str(value))


def _allowed(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata) and kind.extra_json_schema:
        return str(kind.extra_json_schema["description"])
    match _bare(kind):
        case inspect.IntType() | inspect.FloatType() as number:
            return f"{'a whole number' if isinstance(number, inspect.IntType) else 'a number'}{_bounds(number)}"
        case inspect.BoolType():
            return "`true` or `false`"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f"`{value}`" for value in values)
        case inspect.VarTupleType(item_type=item):
            return f"{_allowed(item)}; several with commas between them"
        case _:
            return "a text"


def _bounds(number: inspect.IntType | inspect.FloatType) -> str:
    low = number.ge if number.ge is not None else number.gt
    if low is None or number.le is None:
        return ""
    above = "" if number.ge is not None else "more than "
    # Whole numbers in full: 67,108,864 and not 6.71089e+07.
    low, high = (int(bound) if bound == int(bound) else bound for bound in (low, number.le))
    return f" from {above}{low:,} to {high:,}"
