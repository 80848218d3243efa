"""Where a running job spends its time: its stack, looked at several times, as a profiler that samples has it."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import anyio
from msgspec import Struct

from millstream import ApiError, JobStack
from millstream_console.drawing.tracebacks import Frame, frames_of

LOOKS = 8
PAUSE_S = 0.4
"""Between two looks. A page is not waited for much longer than `LOOKS` of them."""


class Stacks(Protocol):
    """What answers where handlers are: a client."""

    async def stack(self, job_id: str, /) -> JobStack:
        """Return where the handler of a running job is. Raises: ApiError."""
        ...


class Place(Struct, frozen=True):
    """A line of a user's code in which the handler was."""

    frame: Frame | None
    """None where it was in no code of the user."""
    looks: int


class Profile(Struct, frozen=True):
    """What several looks at one attempt have seen."""

    places: Sequence[Place]
    """Where it was most often comes first."""
    typical: JobStack
    """The last look at the first of them."""

    @property
    def looks(self) -> int:
        """Return how many looks there were."""
        return sum(place.looks for place in self.places)


async def profile_of(client: Stacks, job_id: str) -> Profile:
    """Look at the stack of a job several times. Raises: ApiError, when the first look fails.

    Looks end with the attempt: those before are told.
    """
    seen = [await client.stack(job_id)]
    while len(seen) < LOOKS:
        await anyio.sleep(PAUSE_S)
        try:
            found = await client.stack(job_id)
        except ApiError:
            break
        if found.attempt != seen[0].attempt:
            break
        seen.append(found)
    return summary_of(seen)


def summary_of(seen: Sequence[JobStack]) -> Profile:
    """Return what looks at one attempt have seen together."""
    by_place = {_place_of(one): one for one in seen}
    counts = Counter(map(_place_of, seen)).most_common()
    return Profile([Place(frame, looks) for frame, looks in counts], by_place[counts[0][0]])


def _place_of(stack: JobStack) -> Frame | None:
    """Return the innermost line of the user's code."""
    frames = frames_of(stack.stack)
    return next((frame for frame in reversed(frames) if not frame.library), frames[-1] if frames else None)
