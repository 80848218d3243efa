"""Exceptions and other values of user code as text, for logs, spans and records of failed attempts.

Nothing here raises or returns what a store refuses, whatever a class makes of its `__str__`, attributes or name:
the text of an error must never become an error of its own.
"""

import os
import traceback
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from millstream_telemetry.own_frames import fold, is_installed, own_frames, users

# The getters of `type` and of exceptions themselves: a class or its metaclass may answer for these with anything.
_module_of = type.__dict__["__module__"].__get__
_name_of = type.__dict__["__qualname__"].__get__
_traceback_of: Callable[[BaseException], TracebackType | None] = BaseException.__dict__["__traceback__"].__get__
_cause_of: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__cause__"].__get__
_context_of: Callable[[BaseException], BaseException | None] = BaseException.__dict__["__context__"].__get__

_MAX_LINKED = 50
"""Of how many exceptions that caused each other a traceback is shown: each is formatted with all of its frames."""


def type_name(value: object) -> str:
    """Return the qualified name of a value's type; without the module when it is a built-in."""
    kind = type(value)
    name: str = _name_of(kind)
    try:
        module = _module_of(kind)
    except AttributeError:  # a class may have deleted it
        return storable(name)
    return storable(name if type(module) is not str or module == "builtins" else f"{module}.{name}")


def converted(value: object, convert: Callable[[Any], str], *, passes: tuple[type[BaseException], ...] = ()) -> str:
    """Return `convert(value)`; what went wrong instead when it cannot be had. Raises: what is in `passes`."""
    try:
        # Not the text itself: a subclass of str may cut itself in any way.
        return str.__getitem__(convert(value), slice(None))
    except passes:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's class may raise anything
        return f"<{convert.__name__}() of {type_name(value)} raised {type_name(error)}>"


def text_of(value: object, limit: int) -> str:
    """Return `str(value)`, at most `limit` characters of it; what went wrong instead when it cannot be had."""
    return storable(converted(value, str)[:limit])[:limit]


def traceback_of(error: BaseException, limit: int) -> str:
    """Return the traceback as Python prints it, without our own frames: its last `limit` characters, or fewer."""
    try:
        if _is_long(error):
            text = _frames(error) + f"{type_name(error)}: {text_of(error, limit)}\n"
        else:
            told = traceback.TracebackException(type(error), error, _traceback_of(error), compact=True)
            fold(told)
            text = "".join(told.format())
    except BaseException as failure:  # noqa: BLE001 - it reads attributes of the exception and of all that it links to
        text = f"{_frames(error)}<the traceback of {type_name(error)} cannot be read: {type_name(failure)}>\n"
    # The end is the part that names the cause.
    return storable(text[-limit:])[-limit:]


def frames_of(error: BaseException, limit: int) -> str:
    """Return where an exception was raised: the last `limit` characters of its frames without ours, and no message.

    A message may quote what users have sent; the frames are code.
    """
    return storable(_frames(error)[-limit:])[-limit:]


def origin(error: BaseException) -> str:
    """Return `file:function` of the innermost frame in the handler's package; empty for what was never raised.

    So the failures of two handlers stay apart also where a library that both call raises them.
    """
    walked = [frame for frame, _ in traceback.walk_tb(_traceback_of(error))]
    frames = users(walked, lambda frame: frame.f_code.co_filename) or walked
    if not frames:
        return ""
    # A decorator of a library may surround the handler.
    apps = [frame for frame in frames if not is_installed(frame.f_code.co_filename)] or frames
    package = _package_of(apps[0])
    code = next(frame for frame in reversed(frames) if _package_of(frame) == package).f_code
    return f"{code.co_filename.replace(os.sep, '/').rpartition('/')[2]}:{code.co_name}"


def _package_of(frame: FrameType) -> str:
    """Return the package of a frame's module; its file where it has no name."""
    # Not its own method: the globals of a module may be of a subclass.
    name = dict.get(frame.f_globals, "__name__")
    return name.partition(".")[0] if type(name) is str else frame.f_code.co_filename


def storable(text: str) -> str:
    """Return a text that every store takes: no NUL, which PostgreSQL refuses, and no lone surrogates."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _frames(error: BaseException) -> str:
    try:
        return "".join(traceback.format_list(own_frames(traceback.extract_tb(_traceback_of(error)))))
    except BaseException:  # noqa: BLE001 - source lines come from loaders, which users may have written
        return ""


def _is_long(error: BaseException) -> bool:
    """Whether an exception has more causes than are worth to be shown, each with all of its frames."""
    for _ in range(_MAX_LINKED):
        link = _cause_of(error) or _context_of(error)
        if link is None:
            return False
        error = link
    return True
