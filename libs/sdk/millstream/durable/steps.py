"""The steps of one delivery: which there are, which are stored, and what they have given.

Nothing here calls users' functions: the contexts do that, on a loop or in a thread. Each coroutine waits for nothing
but the parent, so that it runs without an event loop too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from millstream.durable.suspension import Suspended
from millstream.errors import HandlerError, JobFailedError, StepError
from millstream.function_reader import place_of
from millstream.jobs.annotations import annotations_of, data_type, result_annotation
from millstream.jobs.job_ref import JobRef
from millstream.jobs.new_job import new_jobs
from millstream.jobs.result_reader import read_result
from millstream.jobs.submit_options import SubmitOptions
from millstream.jobs.submitter import ParentJob
from millstream.payloads import DataType, plain_result
from millstream_contracts import JobId, JobState, StepAnswer, StepCode, StoredStep, limits

FOR_EVER_MS = round(limits.MAX_DELAY_S * 1000)
"""A job that waits without an end is tried once in this time, and waits on."""

_NO_RESULTS = b"\x90"
_decode_ids = msgspec.msgpack.Decoder(list[JobId]).decode
_decode_results = msgspec.msgpack.Decoder(list[Any]).decode

_REFUSALS = {
    StepCode.TOO_MANY: f"the job has {limits.MAX_STEPS} steps already: let another job do a part of them",
    StepCode.TOO_LARGE: f"what its steps give has more than {limits.MAX_STEPS_BYTES} bytes: store it elsewhere",
}


class Steps:
    """Names, finds and stores the steps of a delivery."""

    def __init__(self, parent: ParentJob, *, is_first: bool) -> None:
        """Take the running job. Its first delivery has nothing behind it, and reads nothing."""
        self._parent = parent
        self._stored: dict[str, StoredStep] | None = {} if is_first else None
        self._used: Counter[str] = Counter()

    def key(self, name: str) -> str:
        """Return what the next step of this name is stored under. Raises: HandlerError."""
        _check_name(name)
        used = self._used[name]
        return name if not used else f"{name}#{used + 1}"

    def take(self, name: str) -> str:
        """Do the same, and note the name as used: a repetition is another step."""
        key = self.key(name)
        self._used[name] += 1
        return key

    async def find(self, key: str, version: str, *kinds: str) -> StoredStep | None:
        """Return a stored step; None where there is none, or of another version. Raises: StepError."""
        if self._stored is None:
            self._stored = await self._parent.read_steps()
        found = self._stored.get(key)
        if found is None or found.version != version:
            return None
        if found.kind not in kinds:
            raise StepError(f"step `{key}` was a `{found.kind}` before: give one of the two another name")
        return found

    async def save(self, key: str, version: str, kind: str, content: bytes) -> StoredStep:
        """Store what a step has given. Returns: what is stored. Raises: StepError, UnavailableError, Suspended."""
        answer = await self._parent.save_step(key, version, kind, content)
        return self._keep(key, answer)

    async def wait(self, key: str, ends: str, signal: str = "") -> StoredStep:
        """Return how a wait has ended. Raises: Suspended while it has not; StepError, UnavailableError."""
        kinds = ("signal", "timeout") if signal else ("slept",)
        if (found := await self.find(key, "", *kinds, "wait")) is not None and found.kind != "wait":
            return found
        answer = await self._parent.await_step(key, signal, ends)
        if answer.code is StepCode.FOUND:
            raise Suspended(FOR_EVER_MS if answer.left_ms is None else answer.left_ms, signal)
        return self._keep(key, answer)

    async def call(self, key: str, contents: Sequence[bytes]) -> bytes:
        """Return the results of the jobs that a step has called, as one list in MessagePack.

        Raises: Suspended while one of them has not settled; JobFailedError for the first that has not succeeded;
        StepError, InvalidError, UnavailableError.
        """
        found = await self.find(key, "", "call", "calling")
        if found is not None and found.kind == "call":
            return found.content
        known = [] if found is None else _decode_ids(found.content)
        if found is not None and len(known) != len(contents):
            raise StepError(f"step `{key}` has called {len(known)} jobs before, and {len(contents)} now")
        if not contents:
            return (await self.save(key, "", "call", _NO_RESULTS)).content
        answer = await self._parent.call_jobs(key, contents, known)
        if answer.code not in {StepCode.SAVED, StepCode.FOUND}:
            self._keep(key, StepAnswer(answer.code))
        if answer.pending:
            raise Suspended(FOR_EVER_MS, jobs=tuple(answer.pending))
        for job in answer.jobs:
            if job.state is not JobState.SUCCEEDED:
                raise JobFailedError(job)
        results = msgspec.msgpack.encode([job.result for job in answer.jobs])
        return (await self.save(key, "", "call", results)).content

    def _keep(self, key: str, answer: StepAnswer) -> StoredStep:
        if answer.step is None:
            if (why := _REFUSALS.get(answer.code)) is not None:
                raise StepError(f"step `{key}` is not stored: {why}")
            # Another delivery has the job: this one is being stopped, and goes no step further.
            raise Suspended
        if self._stored is not None:
            self._stored[key] = answer.step
        return answer.step


def version_of(version: Any) -> str:
    """Return the version of a step as it is stored. Raises: HandlerError."""
    text = str(version)
    if len(text) > limits.MAX_STEP_VERSION_CHARS or not text.isprintable():
        raise HandlerError(f"the version of a step has at most {limits.MAX_STEP_VERSION_CHARS} printable characters")
    return text


def type_of_step(name: str, function: Any) -> DataType:
    """Return what decodes what a step gives. Raises: HandlerError, for a function that does not say it."""
    if isinstance(function, JobRef) and callable(function):  # a handler, called as a function
        return function.result_type
    if not callable(function):
        raise HandlerError(f"step `{name}` takes a function and its arguments, not {function!r}")
    annotations = annotations_of(function)
    if "return" not in annotations:
        raise HandlerError(
            f"step `{name}`: {place_of(function)} does not say what it returns, by which a later attempt reads it: "
            "annotate it, with `Any` for plain data"
        )
    if "version" in annotations:
        raise HandlerError(f"step `{name}`: {place_of(function)} has an argument `version`, which is that of the step")
    annotation = result_annotation(annotations)
    try:
        return _data_type(annotation, name)
    except TypeError:  # an annotation that cannot be hashed
        return data_type(annotation, f"step `{name}`", is_result=True)


@lru_cache(maxsize=1024)
def _data_type(annotation: Any, name: str) -> DataType:
    return data_type(annotation, f"step `{name}`", is_result=True)


def encoded(key: str, value: Any) -> bytes:
    """Return what a step gives in MessagePack. Raises: StepError."""
    try:
        content = msgspec.msgpack.encode(plain_result(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StepError(f"what step `{key}` gives cannot be stored: {error}") from error
    if len(content) > limits.MAX_STEP_BYTES:
        size = f"{len(content)} bytes, more than {limits.MAX_STEP_BYTES}"
        raise StepError(f"step `{key}` gives {size}: store it elsewhere")
    return content


def decoded(key: str, content: bytes, gives: DataType) -> Any:
    """Return what is stored of a step, as its function is annotated. Raises: StepError."""
    try:
        return gives.decode(content)
    except Exception as error:  # the checks of a user's class may raise anything
        raise StepError(
            f"what is stored of step `{key}` is no {gives.name}: {error}; with another `version=` it runs again"
        ) from error


def results_of(content: bytes, gives: DataType, key: str) -> list[Any]:
    """Return the results of called jobs as what their type gives. Raises: ResultError."""
    return [read_result(value, gives, f"a job that step `{key}` has called") for value in _decode_results(content)]


def calls_of(job: Any, payloads: Iterable[Any], options: SubmitOptions) -> list[bytes]:
    """Return the submissions of the jobs that a step calls. Raises: TypeError, ValueError."""
    contents = [one.content for one in new_jobs(job, payloads, options)]
    if len(contents) > limits.MAX_PARENTS:
        raise ValueError(f"a step calls {limits.MAX_PARENTS} jobs at most, not {len(contents)}: use `at_once`")
    return contents


def portions(payloads: Iterable[Any], at_once: int | None) -> Iterator[list[Any]]:
    """Cut payloads into portions that are called together. Raises: ValueError."""
    most = limits.MAX_PARENTS if at_once is None else at_once
    if not 0 < most <= limits.MAX_PARENTS:
        raise ValueError(f"`at_once` is 1 to {limits.MAX_PARENTS}, not {most}")
    several = list(payloads)
    for start in range(0, max(1, len(several)), most):
        yield several[start : start + most]


def _check_name(name: Any) -> None:
    fits = isinstance(name, str) and 0 < len(name) <= limits.MAX_STEP_NAME_CHARS
    if not fits or not name.isprintable() or "#" in name:
        raise HandlerError(
            f"the name of a step has 1 to {limits.MAX_STEP_NAME_CHARS} printable characters and no `#`, not {name!r}"
        )
