"""Makes of a template that was put what is stored, by the rules of every submission, and of that what is shown."""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from millstream_contracts import Template, TemplateDefinition, moment
from millstream_streams import StoredTemplate
from millstream_submission.decoding import Codec, decode_submission

_DESCRIPTION = "description"
"""The member of a template that no submission has."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def stored_template(
    body: bytes, definition: TemplateDefinition, codec: Codec, *, clock: Callable[[], float]
) -> StoredTemplate:
    """Return what is stored of a template: the members that it was put with, as a submission would have them.

    `definition` is the body decoded. Raises: SubmissionError.
    """
    members = {name: value for name, value in codec.members(body).items() if name != _DESCRIPTION}
    decoded = decode_submission(codec.encode(members), codec, clock=clock)
    fields = {name: Raw(_encode(codec.decode(value))) for name, value in members.items()}
    if "payload" in fields:
        fields["payload"] = Raw(decoded.payload)
    return StoredTemplate(fields, definition.description, int(clock() * 1000))


def shown_template(name: str, stored: StoredTemplate) -> Template:
    """Return a template as it is shown."""
    fields = {member: _decode(value) for member, value in stored.fields.items()}
    known = {member: value for member, value in fields.items() if value is not None or member == "payload"}
    shown = {**known, "name": name, "description": stored.description, "updated_at": moment(stored.updated_at_ms)}
    # Not strict: it is stored as it was put, and 3.0 is an integer there as in any submission.
    return msgspec.convert(shown, Template, strict=False)
