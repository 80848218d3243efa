"""Reads from the logs of supervised services where they listen: each takes a free port and announces it."""

from collections.abc import Mapping, Sequence

import anyio

from millstream_cli.errors import NotReadyError
from millstream_runtime import Announcement, read_announcement


class Addresses:
    """Waits until each process has announced the address of its health routes."""

    def __init__(self, names: Sequence[str]) -> None:
        self._missing = dict.fromkeys(names)
        self._found: dict[str, Announcement] = {}
        self._is_complete = anyio.Event()
        self._heard = {name: anyio.Event() for name in names}

    def hear(self, name: str, line: str) -> None:
        """Record the address in a line of a process, if there is one; the last one counts."""
        if found := read_announcement(line):
            self.know(name, found)

    def know(self, name: str, address: Announcement) -> None:
        """Record the address of a process whose port was chosen for it, so that it need not announce it."""
        self._found[name] = address
        self._missing.pop(name, None)
        self._heard[name].set()
        if not self._missing:
            self._is_complete.set()

    async def wait_for(self, name: str, within_s: float) -> Announcement:
        """Return the address of one process, once it is known. Raises: NotReadyError."""
        with anyio.move_on_after(within_s):
            await self._heard[name].wait()
            return self._found[name]
        raise NotReadyError([f"{name} has not said where it listens"], within_s)

    async def wait(self, within_s: float) -> Mapping[str, Announcement]:
        """Return the addresses by process, once all are known. Raises: NotReadyError."""
        with anyio.move_on_after(within_s):
            await self._is_complete.wait()
        if self._missing:
            raise NotReadyError([f"{name} has not said where it listens" for name in self._missing], within_s)
        return self._found
