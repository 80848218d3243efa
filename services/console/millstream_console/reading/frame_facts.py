"""What the frame of every page shows: what needs a person, beside the entries of the navigation."""

import time

import anyio
from msgspec import Struct

from millstream import ApiError, Client
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.incidents import read_incidents
from millstream_console.reading.past import Absence, unless_absent
from millstream_contracts import OperationState

KEEP_S = 5.0
WITHIN_S = 1.0
"""A page does not wait longer than this for its frame."""


class FrameFacts(Struct, frozen=True):
    """The numbers beside the navigation; 0 is not shown."""

    dead: int = 0
    """Jobs that wait for a decision."""
    incidents: int = 0
    paused_operations: int = 0


class FrameReader:
    """Reads the facts for all pages, at most once in a while."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._facts = FrameFacts()
        self._read_at = float("-inf")
        self._turn = anyio.Lock()

    async def read(self) -> FrameFacts:
        """Return the facts; the last known ones while the API does not answer in time."""
        async with self._turn:
            if time.monotonic() - self._read_at >= KEEP_S:
                with anyio.move_on_after(WITHIN_S):
                    await self._read()
                self._read_at = time.monotonic()
        return self._facts

    async def _read(self) -> None:
        try:
            async with AtOnce() as reads:
                queues = reads.begin(self._client.queues())
                incidents = reads.begin(read_incidents(self._client))
                # Without a history there are none; the others count all the same.
                operations = reads.begin(unless_absent(self._client.operations()))
        except ApiError:
            return
        listed = [] if isinstance(operations.value, Absence) else operations.value
        self._facts = FrameFacts(
            dead=sum(queue.dead for queue in queues.value),
            incidents=len(incidents.value),
            paused_operations=sum(one.state is OperationState.PAUSED for one in listed),
        )
