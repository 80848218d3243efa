"""Takes the secrets of a job out of what its handler says."""

from typing import Any

import msgspec
from msgspec.structs import replace

from millstream.handler import Handler
from millstream_contracts import Cancelled, Dead, JobError, Outcome, Progress, RetryAt
from millstream_telemetry import SecretTexts

_decode = msgspec.msgpack.Decoder().decode


def secrets_of(handler: Handler[Any, Any, Any], payload: bytes | msgspec.Raw) -> SecretTexts | None:
    """Return what is secret in a payload; None for a type without secrets, and for what is no MessagePack."""
    if handler.secrets is None:
        return None
    try:
        return SecretTexts(handler.secrets.secrets_in(_decode(payload)))
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def without_secrets(outcome: Outcome | None, secrets: SecretTexts) -> Outcome | None:
    """Return an outcome whose texts have no secret."""
    match outcome:
        case RetryAt(error=error):
            return replace(outcome, error=_hidden(error, secrets))
        case Dead(reason, error):
            return Dead(secrets.hidden(reason), _hidden(error, secrets))
        case Cancelled(reason):
            return Cancelled(secrets.hidden(reason))
    return outcome


def progress_without(progress: Progress, secrets: SecretTexts | None) -> Progress:
    """Return a progress whose note has no secret."""
    return progress if secrets is None else replace(progress, note=secrets.hidden(progress.note))


def _hidden(error: JobError, secrets: SecretTexts) -> JobError:
    return replace(error, message=secrets.hidden(error.message), traceback=secrets.hidden(error.traceback))
