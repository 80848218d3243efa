"""Takes a payload from a request's body to a handler through the functions of the product."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from millstream import App
from millstream.handler import Handler
from millstream_contracts import FieldError, TypeRegistration
from millstream_ingest.http.negotiation import Encoding
from millstream_submission.payload_schema import PayloadSchema, compile_schema
from millstream_submission.payloads import pack_json, pack_msgpack

_PACK = {Encoding.JSON: pack_json, Encoding.MSGPACK: pack_msgpack}


class Refused(Struct, frozen=True):
    """The refusal of ingest."""

    errors: list[FieldError]


class Route:
    """Takes payloads to a handler of one type. Raises: HandlerError, when the type is refused."""

    def __init__(self, annotation: Any) -> None:
        def handle(payload: Any) -> None:
            """Do nothing."""

        handle.__annotations__["payload"] = annotation
        self.handler: Handler = App("route").job("route.type")(handle)
        # As a worker stores its registration and ingest reads it.
        stored = msgspec.msgpack.encode(self.handler.registration())
        self.registration = msgspec.msgpack.decode(stored, type=TypeRegistration)
        self._schema = self._compiled()

    def _compiled(self) -> PayloadSchema | None:
        schema = self.registration.payload_schema
        compiled = compile_schema(self.registration.type, schema)
        assert (compiled is None) == (schema is None), f"ingest cannot use {schema}"
        return compiled

    def accept(self, body: bytes, encoding: Encoding) -> bytes | Refused:
        """Return what is stored, or the refusal. Raises: SubmissionError, when it is no payload of any type."""
        value, stored = _PACK[encoding](Raw(body), "/payload")
        errors = self._schema.errors(value) if self._schema else []
        return Refused(errors) if errors else stored

    def json(self, text: str | bytes) -> Any:
        """Return what the handler gets of this JSON, or Refused. Raises: the error that buries the job."""
        body = text.encode() if isinstance(text, str) else text
        return self._arrive(self.accept(body, Encoding.JSON))

    def message_pack(self, value: Any) -> Any:
        """Return what the handler gets of this value in MessagePack, or Refused. Raises: as :meth:`json`."""
        return self._arrive(self.accept(msgspec.msgpack.encode(value), Encoding.MSGPACK))

    def _arrive(self, stored: bytes | Refused) -> Any:
        return stored if isinstance(stored, Refused) else self.handler.decode(stored)
