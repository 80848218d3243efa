"""Models of pydantic: they have their own schema, and are validated by pydantic in its mode for JSON.

Pydantic is imported only when an annotation has a model in it.
"""

import re
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from millstream.errors import HandlerError

Schema = dict[str, Any]


def is_model(cls: Any) -> bool:
    """Whether a class is a model or a dataclass of pydantic."""
    return isinstance(cls, type) and hasattr(cls, "__pydantic_core_schema__")


def names_model(annotation: Any) -> bool:
    """Whether an annotation names a model, by itself or as the member of a list, a union and the like."""
    seen: list[Any] = []  # an alias may name itself
    pending = [annotation]
    while pending:
        one = pending.pop()
        if is_model(one):
            return True
        if not any(one is before for before in seen):
            seen.append(one)
            pending += [*typing.get_args(one), *filter(None, (getattr(one, "__value__", None),))]
    return False


class ModelReader(NamedTuple):
    """Reads plain data as an annotation that pydantic understands as a whole."""

    schema: Schema
    convert: Callable[[Any], Any]
    """Raises: msgspec.ValidationError, which names the field."""


def model_reader(annotation: Any, *, is_result: bool) -> ModelReader | None:
    """Return what reads an annotation; None when it names a class that pydantic does not know, such as a Struct.

    Raises: HandlerError, when a model is not complete or has no schema.
    """
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter  # noqa: PLC0415 - optional

    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        schema = adapter.json_schema(mode="serialization" if is_result else "validation")
    except PydanticSchemaGenerationError:
        return None
    except (PydanticUserError, NameError) as error:
        raise HandlerError(f"cannot be decoded: {str(error).splitlines()[0]}") from error

    def convert(value: Any) -> Any:
        with _told(lambda what, path: msgspec.ValidationError(f"{what} - at `${path}`")):
            return adapter.validate_json(msgspec.json.encode(value))

    return ModelReader(schema, convert)


def model_schema(cls: Any, name: str, *, is_result: bool) -> tuple[Schema, Mapping[str, Schema]]:
    """Return the schema of a model, and its definitions by names that begin with `name`."""
    mode: Any = "serialization" if is_result else "validation"
    schema: Schema = cls.model_json_schema(mode=mode, ref_template=f"#/$defs/{name}.{{model}}")
    definitions = schema.pop("$defs", {})
    return schema, {f"{name}.{inner}": definition for inner, definition in definitions.items()}


def read_model(cls: Any, value: Any) -> Any:
    """Return a model for plain data. Raises: ValueError, which names the field."""
    with _told(lambda what, path: ValueError(f"{cls.__name__}{path}: {what}")):
        return cls.model_validate_json(msgspec.json.encode(value))


def write_model(value: Any, *, is_result: bool) -> Any:
    """Return a model as plain data: a payload in the form in which it is read, a result with its computed fields.

    Raises: ValueError, when it has a value that its fields do not declare, or one that pydantic hides.
    """
    try:
        # An error, not a warning: what is stored must be what the model declares.
        plain = value.model_dump(mode="json", by_alias=True, warnings="error", round_trip=not is_result)
    except ValueError as error:
        wrong = "; ".join(f"`{field}` is no {kind}" for kind, field in _UNEXPECTED.findall(str(error)))
        raise ValueError(f"{type(value).__name__}: {wrong or 'it cannot be serialized'}") from None
    if _SECRET in msgspec.json.encode(plain) and read_model(type(value), plain) != value:
        raise ValueError(f"{type(value).__name__} has a secret, which pydantic writes as asterisks: {_HOW_TO_SHOW}")
    return plain


_SECRET = b"**********"
"""What pydantic writes in place of a `SecretStr`."""

_HOW_TO_SHOW = "give the field a serializer"

_UNEXPECTED = re.compile(r"Expected `([^`]*)`.*?field_name='(\w+)'")


@contextmanager
def _told(tell: Callable[[str, str], Exception]) -> Iterator[None]:
    """Raise what `tell` makes of the first complaint and its path.

    Pydantic shows values in its errors, and these may be secret: they are of a payload.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - optional

    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
        raise tell(first["msg"], path) from None
