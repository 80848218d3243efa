"""What logging calls become, in structlog and in the standard library: a line, whatever they are called with."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from millstream_telemetry.logs.stream import LogStream
from millstream_telemetry.logs.values import cut, kind_of, shown

_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
_ALIASES = {"msg": "info", "warn": "warning", "fatal": "critical"}


def message_of(event: Any, args: tuple[Any, ...]) -> Any:
    """Return an event with its %-arguments put in; with a note when they do not fit."""
    if not args:
        return event
    try:
        return event % (args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the wrong number of arguments, or one whose `__str__` raises
        return f"{cut(event) if type(event) is str else shown(event)} <its arguments raised {kind_of(error)}>"


def logger_class(min_level: int, service: str) -> type[FilteringBoundLogger]:
    """Return structlog's logger for lines of this level and above, with methods that never raise.

    `event` is optional and may be any value; the coroutines write at once, as the other methods do.
    """
    base: Any = structlog.make_filtering_bound_logger(min_level)

    def write(self: Any, name: str, event: Any, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
        try:
            (line,), _ = self._process_event(name, message_of(event, args), fields)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a processor stumbled, over the current span for one
            bare = {"event": event, "level": name, "service": service, "error": f"the line raised {kind_of(error)}"}
            line = self._processors[-1](None, name, bare)
        self._logger.write(line)

    def log(self: Any, level: Any, event: Any = None, /, *args: Any, **fields: Any) -> None:
        number = level if type(level) is int else logging.INFO
        if number >= min_level:
            write(self, _NAMES[min(50, max(10, number // 10 * 10))], event, args, fields)

    methods = {"log": log, **{name: _method(write, name, number >= min_level) for number, name in _NAMES.items()}}
    methods["exception"] = _exception(methods["error"])
    methods |= {alias: methods[name] for alias, name in _ALIASES.items()}
    coroutines = {f"a{name}": _coroutine(method) for name, method in methods.items()}
    logger: type[FilteringBoundLogger] = type(base.__name__, (base,), {**methods, **coroutines})
    return logger


def _method(write: Callable[..., None], name: str, is_enabled: bool) -> Callable[..., None]:
    def ignore(self: Any, event: Any = None, /, *args: Any, **fields: Any) -> None:
        pass

    def method(self: Any, event: Any = None, /, *args: Any, **fields: Any) -> None:
        write(self, name, event, args, fields)

    return method if is_enabled else ignore


def _exception(error: Callable[..., None]) -> Callable[..., None]:
    def exception(self: Any, event: Any = None, /, *args: Any, **fields: Any) -> None:
        error(self, event, *args, **{"exc_info": True, **fields})

    return exception


def _coroutine(method: Callable[..., None]) -> Callable[..., Any]:
    async def coroutine(self: Any, *args: Any, **fields: Any) -> None:
        method(self, *args, **fields)

    return coroutine


class StdlibHandler(logging.Handler):
    """Writes what libraries log through `logging`. Never raises, and prints no traceback about a bad call."""

    def __init__(self, lines: LogStream, service: str, render: Callable[..., str]) -> None:
        super().__init__()
        self._lines = lines
        self._service = service
        self._render = render

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            line = self.format(record)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a processor stumbled
            level = record.levelname.lower()
            bare = {"event": record.msg, "level": level, "logger": record.name, "service": self._service}
            line = self._render(None, level, {**bare, "error": f"the line raised {kind_of(error)}"})
        self._lines.write(line)


def make_record(
    name: str, level: int, path: str, line: int, msg: object, args: Any, *rest: Any, **options: Any
) -> logging.LogRecord:
    """Make a record of `logging` whose message can be had, for our handler and all others.

    Arguments that do not fit are put in here, with a note.
    """
    try:
        record = logging.LogRecord(name, level, path, line, msg, args, *rest, **options)
        if type(record.getMessage()) is str:
            return record
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - `logging` looks at the arguments, whose `__class__` may raise
        pass
    return logging.LogRecord(name, level, path, line, cut(_text(msg, args)), (), *rest, **options)


def _text(msg: object, args: tuple[Any, ...]) -> str:
    text: str = message_of(msg if type(msg) is str else shown(msg, str), args)
    return text
