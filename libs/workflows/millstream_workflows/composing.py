"""Makes inputs of results: the submission of a node, the items of a map, the result of a workflow.

A result that is referred to as a whole is put in as its bytes are. What a template grows to is counted while it grows:
one of a hundred bytes may refer to a large result fifty times.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from millstream_contracts import UNDECODABLE, Submission, limits
from millstream_workflows.blueprints import decode_blueprint, encode
from millstream_workflows.errors import InputError
from millstream_workflows.pointers import MISSING, value_at
from millstream_workflows.references import ItemReference, Literal, ResultReference, reference_of

_decode = msgspec.msgpack.Decoder().decode
_decode_submission = msgspec.msgpack.Decoder(Submission).decode

Results = Mapping[str, bytes]
"""Results of nodes by their names, each one value in MessagePack. A node that has none is not in it."""


def compose(blueprint: bytes, results: Results, item: bytes | None = None) -> bytes:
    """Return the submission of a node's job in MessagePack. Raises: InputError.

    `item` is the one value of a list that a job of a node with `map` is for, as `map_items` has returned it.
    """
    plan = decode_blueprint(blueprint)
    if not plan.is_template:
        return plan.submission
    submission = _decode_submission(plan.submission)
    payload = _Composer(results, item, limits.MAX_PAYLOAD_BYTES).packed(_decode(submission.payload))
    return encode(replace(submission, payload=Raw(payload)))


def map_items(blueprint: bytes, results: Results) -> list[bytes]:
    """Return the items that a node with `map` has a job for each of, in order. Raises: InputError."""
    plan = decode_blueprint(blueprint)
    composer = _Composer(results, None, limits.MAX_WORKFLOW_RESULTS_BYTES)
    try:
        items = _decode(composer.packed(_decode(plan.map)))
    except UNDECODABLE:
        raise InputError("input_no_list", "`map` refers to a result that cannot be read") from None
    if not isinstance(items, list):
        raise InputError("input_no_list", f"`map` refers to {_kind_of(items)}, where a list was expected")
    if len(items) > limits.MAX_MAP_ITEMS:
        raise InputError(
            "inputs_too_large", f"the list has {len(items):,} items; the limit is {limits.MAX_MAP_ITEMS:,}"
        )
    return [encode(item) for item in items]


def compose_result(blueprint: bytes, results: Results) -> bytes:
    """Return the result of a workflow, of the `Plan.result` it was stored with. Raises: InputError."""
    return _Composer(results, None, limits.MAX_WORKFLOW_RESULTS_BYTES).packed(_decode(blueprint))


class _Composer:
    """Puts results in the place of references."""

    def __init__(self, results: Results, item: bytes | None, limit: int) -> None:
        self._results = results
        self._item = item
        self._limit = limit
        self._room = limit
        self._decoded: dict[str, Any] = {}
        self._parts: dict[tuple[str, str], Raw] = {}

    def packed(self, template: Any) -> bytes:
        """Return a template with all its references resolved, in MessagePack. Raises: InputError."""
        packed = encode(self._resolved(template))
        if len(packed) > self._limit:
            raise self._too_large()
        return packed

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(member) if isinstance(member, (dict, list)) else member for member in value]
        if not isinstance(value, dict):
            return value
        match reference_of(value):
            case ResultReference() as reference:
                return self._result(reference)
            case ItemReference(path):
                return self._part("", path) or self._missing(f"the item has nothing at `{path}`")
            case Literal(inner):
                return inner
            case None:
                return {key: self._resolved(member) for key, member in value.items()}

    def _result(self, reference: ResultReference) -> Any:
        part = self._part(reference.node, reference.path)
        if part is not None:
            return part
        if reference.default is UNSET:
            where = f"nothing at `{reference.path}`" if reference.node in self._results else "no result"
            self._missing(f"the node `{reference.node}` has {where}")
        return reference.default

    def _part(self, node: str, path: str) -> Raw | None:
        """Return a part of the result of a node, or of the item for the node ""; None for one that is not there."""
        part = self._parts.get((node, path))
        if part is None:
            part = self._read(node, path)
            if part is None:
                return None
            self._parts[node, path] = part
        self._room -= len(part)
        if self._room < 0:
            raise self._too_large()
        return part

    def _read(self, node: str, path: str) -> Raw | None:
        content = self._results.get(node) if node else self._item
        if not content:
            return None
        if not path:
            return Raw(content)
        if node not in self._decoded:
            try:
                self._decoded[node] = _decode(content)
            except UNDECODABLE:
                return None
        value = value_at(self._decoded[node], path)
        return None if value is MISSING else Raw(encode(value))

    def _missing(self, detail: str) -> Any:
        raise InputError("input_missing", detail)

    def _too_large(self) -> InputError:
        return InputError("inputs_too_large", f"more than {self._limit:,} bytes with its references resolved")


def _kind_of(value: Any) -> str:
    names: dict[type, str] = {dict: "an object", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
