"""Masks secret values in answers to requests that ask for it, whichever route answers.

Like the withholding of payloads it goes by the names of fields, so a new route cannot forget it: wherever a `type`
stands beside a `payload` or a `result`, the schemas of that type say what is secret.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import MASK, MASKED, SECRETS_HEADER, FieldError, Job, SecretPlaces
from millstream_history import RecentJobs
from millstream_ingest.access.withholding import NAMED_BY_USERS
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import BAD_REQUEST
from millstream_submission import KnownTypes, Masker

HEADER = SECRETS_HEADER.lower().encode()

FIELDS = frozenset({"payload", "result", "patch", "samples"})
"""The fields in which secrets are masked."""

_OPAQUE = NAMED_BY_USERS | {"logs"}
"""What has no payloads in it, and may have any names. Workers mask secrets in log lines before they store them."""
_MAX_QUOTED_CHARS = 40


def check_header(value: bytes) -> None:
    """Refuse what is no value of the header. Raises: IngestError (400)."""
    if value != MASKED.encode():
        got = value[:_MAX_QUOTED_CHARS].decode("latin-1")
        detail = f"expected `{SECRETS_HEADER}` to be `{MASKED}`, got `{got}`"
        raise IngestError(BAD_REQUEST, errors=[FieldError(f"{SECRETS_HEADER}:", detail)])


def masked_answer(content: Any, known: KnownTypes) -> Any:
    """Return what an answer says, with a mask in the place of each secret value."""
    masker = Masker(known)
    return content if masker.is_idle else _Answers(masker).answer(content)


def without_secret_values(recent: RecentJobs, known: KnownTypes | None) -> RecentJobs:
    """Return what recent jobs have, without values that a type declares as secret: hints show values.

    Without `known`, where it cannot be read, no value of a payload is left.
    """
    payloads = None if known is None else Masker(known).payload_places
    fields = {
        name: replace(seen, values=Counter()) if _is_secret(name, payloads) else seen
        for name, seen in recent.fields.items()
    }
    return replace(recent, fields=fields)


def _is_secret(name: str, payloads: Sequence[SecretPlaces] | None) -> bool:
    word, _, path = name.partition(".")
    if word != "payload" or payloads is None:
        return word == "payload"
    # A key that is written in quotes may have dots in it.
    return any('"' in path or places.covers(path.split(".")) for places in payloads)


class _Answers:
    """Masks answers by the types of one tenant."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker

    def answer(self, value: Any) -> Any:
        """Return an answer, or a part of one, masked."""
        match value:
            case Job():
                return self._masker.job(value)
            case Struct():
                return self.answer(msgspec.to_builtins(value, builtin_types=(bytes,)))
            case dict():
                return self._object(value)
            case list() | tuple():
                return [self.answer(one) for one in value]
        return value

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        if "workflow" in value and "nodes" in value and self._has_no_secrets(value["workflow"], value["nodes"]):
            return value
        job_type, shown = value.get("type"), dict(value)
        for name, one in value.items():
            if name == "payload":
                shown[name] = self._masker.payload(one, job_type)
            elif name == "result":
                shown[name] = self._masker.result(one, job_type) if isinstance(job_type, str) else self._unknown(one)
            elif name == "patch":
                shown[name] = self._masker.any_payload(one)
            elif name == "samples":
                shown[name] = [self._sample(sample) for sample in one]
            elif name == "nodes" and isinstance(one, dict):
                shown[name] = {node: self.answer(job) for node, job in one.items()}
            elif name not in _OPAQUE:
                shown[name] = self.answer(one)
        return shown

    def _has_no_secrets(self, workflow: dict[str, Any], nodes: list[dict[str, Any]]) -> bool:
        """Return whether all nodes of a workflow are there, and none of them has a secret result."""
        is_whole = sum(workflow.get("counts", {}).values()) == len(nodes)
        return is_whole and not self._masker.has_secret_results(node["type"] for node in nodes)

    def _unknown(self, value: Any) -> Any:
        """Return a result that has no type beside it: that of a workflow is made of results of several types."""
        return MASK if value is not None and self._masker.has_secret_results() else value

    def _sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return what a patch changes in one job, whose type may be any."""
        return {**sample, "changes": [self._change(one) for one in sample["changes"]]}

    def _change(self, change: dict[str, Any]) -> dict[str, Any]:
        path = [step.replace("~1", "/").replace("~0", "~") for step in change["pointer"].split("/")[1:]]
        sides = {side: self._masker.any_payload(change.get(side), path) for side in ("before", "after")}
        return {**change, **sides}
