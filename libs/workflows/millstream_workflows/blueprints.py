"""What is stored of a node, of which its submission is made once the nodes before it have ended."""

import msgspec
from msgspec import Struct

from millstream_contracts import NodeSubmission, Submission


class Blueprint(Struct, frozen=True, array_like=True):
    """A submission in MessagePack, of which the payload may have references."""

    submission: bytes
    is_template: bool = False
    """Whether its payload is yet to be made: of references, or of what a `$literal` holds."""
    map: bytes = b""
    """The reference to the list of a node with `map`, in MessagePack."""


encode = msgspec.msgpack.Encoder().encode
decode_blueprint = msgspec.msgpack.Decoder(Blueprint).decode


def job_of(node: NodeSubmission) -> Submission:
    """Return the submission of a node's job. Its payload is as it was submitted, with its references."""
    return Submission(
        type=node.type,
        payload=node.payload,
        priority=node.priority,
        key=node.key,
        delay_s=node.delay_s,
        expires_in_s=node.expires_in_s,
        max_attempts=node.max_attempts,
        timeout_s=node.timeout_s,
        backoff=node.backoff,
        tags=node.tags,
    )


def blueprint_of(node: NodeSubmission, *, is_template: bool) -> bytes:
    """Return the blueprint of a node whose payload is MessagePack."""
    return encode(Blueprint(encode(job_of(node)), is_template, bytes(node.map)))
