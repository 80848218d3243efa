"""Marks fields of payloads and results as secret."""

from typing import Annotated, Any

from msgspec import Meta
from typing_extensions import TypeVar

from millstream_contracts import SECRET_KEYWORD

T = TypeVar("T")


class _SecretOfModel:
    """Writes the mark into the schema of a model of pydantic, which does not read the metadata of msgspec."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> Any:
        return {**handler(core_schema), SECRET_KEYWORD: True}

    def __repr__(self) -> str:
        return "secret"


Secret = Annotated[T, Meta(extra_json_schema={SECRET_KEYWORD: True}), _SecretOfModel()]
"""A secret value of a payload or a result: `password: Secret[str]`.

Handlers and clients get the plain value, and type checkers see its type. Where jobs are shown, `***` stands in its
place: in the console, in exports, in the bodies of webhooks, and in answers of the API that ask for it.
"""
