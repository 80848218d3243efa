"""Signals: what durable handlers wait for, and clients send."""

import builtins
from typing import Any, Generic, overload

import msgspec
from typing_extensions import TypeVar

from millstream.errors import HandlerError
from millstream.payloads import DataType, plain_payload
from millstream_contracts.signal_name import is_signal_name

T = TypeVar("T", default=Any)


class Signal(Generic[T]):
    """A signal: its name, and the type of what it carries. `approved = Signal("approved", Approval)`."""

    @overload
    def __init__(self: "Signal[T]", name: str, type: builtins.type[T]) -> None: ...

    @overload
    def __init__(self: "Signal[None]", name: str, type: None = None) -> None: ...

    def __init__(self, name: str, type: Any = None) -> None:
        """`type` is None for one that carries nothing. Raises: HandlerError."""
        check_signal_name(name)
        self.name = name
        self.data = DataType(type)
        """What decodes its payload."""

    def __repr__(self) -> str:
        return f"<Signal {self.name}>"


def signal_of(signal: "Signal[Any] | str") -> Signal[Any]:
    """Return a signal, by its name one that carries anything. Raises: HandlerError."""
    return signal if isinstance(signal, Signal) else Signal(signal, Any)


def check_signal_name(name: Any) -> None:
    """Raise HandlerError unless a value can be the name of a signal."""
    if not isinstance(name, str) or not is_signal_name(name):
        raise HandlerError(f"the name of a signal is lower-case letters, digits, `.` and `-`, not {name!r}")


def signal_name(signal: "Signal[Any] | str") -> str:
    """Return the name of a signal. Raises: HandlerError."""
    if isinstance(signal, Signal):
        return signal.name
    check_signal_name(signal)
    return signal


def encoded_signal(signal: "Signal[Any] | str", payload: Any) -> bytes:
    """Return what a signal carries in MessagePack. Raises: TypeError, when the signal does not carry it."""
    name = signal_name(signal)
    try:
        content = msgspec.msgpack.encode(plain_payload(payload))
        if isinstance(signal, Signal):
            signal.data.decode(content)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"the signal `{name}` does not carry this: {error}") from error
    return content
