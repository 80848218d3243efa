"""Runs a server process of a topology, which a test can kill, freeze and start again."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from msgspec import Struct
from ports import HOST, reserve_node_port
from redis.backoff import NoBackoff
from redis.retry import Retry
from topologies.certificates import Pair

from millstream_cli.parent_watch import guarded
from millstream_cli.redis_finder import RedisBinary

_PATIENCE_S = 30.0
_ANSWER_S = 2.0
_LOOK_EVERY_S = 0.02


class Access(Struct, frozen=True):
    """How the test connects to a server."""

    ca: Path | None = None
    """The certificate of the authority that signs its own; None is a server without TLS."""
    own: Pair | None = None
    username: str | None = None
    password: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Return the access as options of redis-py."""
        login = {"username": self.username, "password": self.password}
        if self.ca is None or self.own is None:
            return login
        files = {
            "ssl_ca_certs": str(self.ca),
            "ssl_certfile": str(self.own.certificate),
            "ssl_keyfile": str(self.own.key),
        }
        return {**login, "ssl": True, **files}


OPEN = Access()
"""A server without TLS and password."""


class Node:
    """A server on a port and in a folder of its own, which it keeps when it is started again.

    It ends with the process that started it. Calls block for a moment: from async code, call them in a thread where
    that matters.
    """

    def __init__(
        self,
        binary: RedisBinary,
        folder: Path,
        settings: Mapping[str, str | int] = {},
        *,
        sentinel: bool = False,
        access: Access = OPEN,
    ) -> None:
        """Take `settings` as lines of a settings file, each with name and value.

        With TLS in its `access` it listens to nothing else.
        """
        self.binary = binary
        self.folder = folder
        self.port = reserve_node_port()
        self._command = [str(binary.path), str(folder / "server.conf"), *(["--sentinel"] if sentinel else [])]
        self._access = access
        ports = {"port": self.port} if access.ca is None else {"port": 0, "tls-port": self.port}
        self._settings = {**ports, "bind": HOST, "dir": f'"{folder}"', "save": '""', **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({HOST}:{self.port})"

    @property
    def url(self) -> str:
        """Return the address of this server alone."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Return the process id of the server. Raises: RuntimeError, when it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self} was never started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Return whether the process exists, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server, also after a kill, and return once it responds. Raises: RuntimeError, TimeoutError."""
        settings = self.folder / "server.conf"
        if not settings.exists():  # the server writes into it who its primary is
            self.folder.mkdir(parents=True)
            settings.write_text("".join(f"{name} {value}\n" for name, value in self._settings.items()))
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                guarded(self._command), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
            )
        wait_for(self._has_ended_or_answers, f"{self} answers")
        if not self.is_running:
            raise RuntimeError(f"{self} ended at its start: {(self.folder / 'redis.log').read_text()[-2000:]}")

    def _has_ended_or_answers(self) -> bool:
        # One that ends because its port is taken would be mistaken for the other that answers there.
        return not self.is_running or self.answers()

    def answers(self) -> bool:
        """Return whether the server responds now."""
        with suppress(redis.RedisError):
            return bool(self.ask("PING"))
        return False

    def ask(self, *command: str | int | bytes) -> Any:
        """Send one command on a connection of its own. Raises: redis.RedisError."""
        once = Retry(NoBackoff(), 0)
        options = {"protocol": 2, "socket_timeout": _ANSWER_S, "retry": once, **self._access.options}
        with redis.Redis(host=HOST, port=self.port, **options) as client:
            # redis-py would make text of keys, and ours may hold any bytes.
            client.set_response_callback("CLUSTER GETKEYSINSLOT", lambda keys, **_: keys)
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        """Return a section of INFO. Raises: redis.RedisError."""
        answer: dict[str, Any] = self.ask("INFO", section)
        return answer

    def kill(self) -> None:
        """Kill the server with SIGKILL, as a power cut does; its files stay."""
        self._signal(signal.SIGKILL)
        self._collect()

    def freeze(self) -> None:
        """Stop the server with SIGSTOP: its connections stay open, and it does not respond."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        """End the server, frozen or not. Idempotent."""
        if self.is_running:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
        self._collect()

    def _signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def _collect(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_PATIENCE_S)
        if self._process.stdin:
            self._process.stdin.close()


def wait_for(predicate: Callable[[], object], description: str, timeout_s: float = _PATIENCE_S) -> None:
    """Return once the predicate is true; an error of Redis counts as false. Raises: TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with suppress(redis.RedisError):
            if predicate():
                return
        time.sleep(_LOOK_EVERY_S)
    raise TimeoutError(f"never came true: {description}")
