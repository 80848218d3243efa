"""Reads a settings Struct from environment variables: all of it, or every reason why not.

`MILLSTREAM_<FIELD>` gives a field its value, `MILLSTREAM_<FIELD>_FILE` names a file that holds it; a field whose name
ends in `_file` names a file itself, and has the first form alone. A misspelt variable is an error at the
start; it never leaves a default silently in place.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

from millstream_contracts import did_you_mean
from millstream_runtime.errors import SettingsError
from millstream_runtime.settings.kinds import allowed, bare, kind_of
from millstream_runtime.settings.masking import NO_ADDRESS, mask_path, mask_text, mask_url
from millstream_runtime.settings.secret import Secret

PREFIX = "MILLSTREAM_"

S = TypeVar("S", bound=msgspec.Struct)

_FILE = "_FILE"

# Kubernetes gives every container the addresses of all services around it: one that is called `millstream` or
# `millstream-ingest` makes variables such as MILLSTREAM_INGEST_SERVICE_HOST, and MILLSTREAM_PORT=tcp://10.0.0.7:80.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_SERVICE_LINK_PORT = re.compile(r"(tcp|udp|sctp)://")


def read_settings(
    kind: type[S],
    environ: Mapping[str, str],
    *,
    options: Mapping[str, object] | None = None,
    known: Iterable[str] = (),
) -> S:
    """Return the settings. An empty variable counts as unset.

    `options` of the command line, by field name, win over variables; None means not given.
    `known` are fields of other services, whose variables are ignored.

    Raises: SettingsError, with a line for everything that is wrong.
    """
    reader = _Reader(environ)
    fields = msgspec.structs.fields(kind)
    reader.refuse_unknown({*known, *(field.name for field in fields)})
    hints = get_type_hints(kind, include_extras=True)
    given = {name: value for name, value in (options or {}).items() if value is not None}
    values = {field.name: reader.value(field.name, hints[field.name], given) for field in fields}
    return reader.build(kind, {name: value for name, value in values.items() if value is not msgspec.UNSET})


def variables_of(field: str) -> tuple[str, ...]:
    """Return the variables of a field: the one with the value, and the one that names a file with it."""
    variable = PREFIX + field.upper()
    return (variable,) if variable.endswith(_FILE) else (variable, variable + _FILE)


class _Reader:
    """Collects values and problems."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._variables = {
            name: value.strip() for name, value in environ.items() if _is_ours(name, value) and value.strip()
        }
        self._problems: list[str] = []

    def refuse_unknown(self, known: set[str]) -> None:
        fields = {name.upper() for name in known}
        every = {variable for name in known for variable in variables_of(name)}
        for variable in sorted(self._variables.keys() - every):
            # Compared without the prefix: with it, everything resembles everything.
            hint = did_you_mean(variable.removeprefix(PREFIX), fields).replace("`", f"`{PREFIX}", 1)
            self._problems.append(f"{variable} is no setting{hint}")

    def value(self, field: str, hint: Any, options: Mapping[str, object]) -> Any:
        """Return the converted value, or UNSET when there is none or it is wrong."""
        if field in options:
            return self._converted(f"--{field.replace('_', '-')}", options[field], hint)
        variable, *file_variable = variables_of(field)
        given = [one for one in (variable, *file_variable) if one in self._variables]
        if len(given) > 1:
            self._problems.append(f"{' and '.join(given)} are both set: keep one of them")
        elif given == [variable]:
            return self._converted(variable, self._variables[variable], hint)
        elif given:
            return self._from_file(given[0], Path(self._variables[given[0]]), hint)
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
            self._problems.append(f"{variable}={mask_path(path)}: cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._problems.append(f"{variable}={mask_path(path)}: is not UTF-8 text")
        else:
            return self._converted(variable, text, hint, path=path)
        return msgspec.UNSET

    def _converted(self, source: str, value: object, hint: Any, *, path: Path | None = None) -> Any:
        """Return the converted value, or UNSET when it is wrong. `path` is the file that it comes from."""
        kind = kind_of(hint)
        if isinstance(value, str):
            value = _prepared(value, kind)
        try:
            return msgspec.convert(value, hint, strict=False, dec_hook=_from_text)
        except (msgspec.ValidationError, ValueError):
            shown = _shown(value, kind) if path is None else f"={mask_path(path)}: its content is not shown"
            self._problems.append(f"{source}{shown}: expected {allowed(kind)}")
        return msgspec.UNSET


def _is_ours(name: str, value: str) -> bool:
    if not name.startswith(PREFIX) or _SERVICE_LINK.search(name):
        return False
    return not (name.endswith("_PORT") and _SERVICE_LINK_PORT.match(value))


def _prepared(text: str, kind: inspect.Type) -> object:
    match bare(kind):
        case inspect.VarTupleType():
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case inspect.LiteralType():
            return text.lower()
        case _:
            return text


def _from_text(kind: type, value: Any) -> Any:
    if kind in {Path, Secret} and isinstance(value, str) and value:
        return kind(value)
    raise ValueError(f"no {kind.__name__}")


def _shown(value: object, kind: inspect.Type) -> str:
    """Return what is shown of a wrong value behind the name of its variable or option."""
    match bare(kind):
        case inspect.CustomType(cls=cls) if cls is Secret:
            return "=***"
        case inspect.VarTupleType() if isinstance(value, tuple):
            return f"={','.join(mask_text(str(one)) for one in value)}"
    if isinstance(kind, inspect.Metadata) and (kind.extra or {}).get("is_address"):
        shown = mask_url(str(value))
        return f" holds {shown}" if shown == NO_ADDRESS else f"={shown}"
    return f"={mask_text(str(value))}"
