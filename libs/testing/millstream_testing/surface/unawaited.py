"""Finds submissions that a test has forgotten to await: they have submitted nothing.

Python warns of a coroutine that is dropped before it began, and only warns.
"""

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_NEVER_AWAITED = re.compile(r"coroutine '((?:\w+\.)?submit(?:_many)?)' was never awaited")


@contextmanager
def noted_unawaited(note: Callable[[str], None]) -> Iterator[None]:
    """Note the name of each submission that is dropped within this block."""
    show, hook = warnings.showwarning, sys.unraisablehook

    def read(message: object) -> None:
        if found := _NEVER_AWAITED.search(str(message)):
            note(found[1])

    def show_and_read(message: Warning | str, *rest: Any, **options: Any) -> None:
        read(message)
        show(message, *rest, **options)

    def raise_and_read(unraisable: Any) -> None:
        # Where warnings are errors, this one cannot be raised.
        read(unraisable.exc_value)
        hook(unraisable)

    warnings.showwarning, sys.unraisablehook = show_and_read, raise_and_read
    try:
        yield
    finally:
        warnings.showwarning, sys.unraisablehook = show, hook
