"""Plants bugs in scripts: each replaces a line that ends with the mark `-- @bug:<name>`.

The code of that line and its comments do not count, so both may change. A mark stands once in a script and its parts.
"""

import re
from functools import cache

from msgspec import Struct

from millstream_streams.store.scripting import Script, load_script, script_of

_MARKED = re.compile(r"^(.*?) -- @bug:([a-z-]+)$", re.MULTILINE)
LINE = "{line}"
"""A placeholder in a wrong line for the right one."""


class Bug(Struct, frozen=True):
    """A mistake that a developer could make in a script."""

    script: str
    mark: str
    wrong: str = ""
    """The text in place of the marked line."""

    def plant(self) -> Script:
        """Return the script with the bug. Raises: ValueError, where the mark does not stand once."""
        return _planted(self)

    def load(self, wanted: str) -> Script:
        """Return a script by name, with the bug if the bug belongs to that script."""
        return self.plant() if wanted == self.script else load_script(wanted)


@cache  # a broker asks for each script, and random transitions open hundreds of brokers
def _planted(bug: Bug) -> Script:
    script = load_script(bug.script)
    found = [line for line, mark in _MARKED.findall(script.text) if mark == bug.mark]
    if len(found) != 1:
        raise ValueError(f"{bug.script}.lua has {len(found)} lines with the mark @bug:{bug.mark}")
    wrong = bug.wrong.replace(LINE, found[0])
    text = _MARKED.sub(lambda match: wrong if match[2] == bug.mark else match[0], script.text)
    return script_of(bug.script, text)


def marks_of(text: str) -> list[str]:
    """Return the marks in a text."""
    return [mark for _, mark in _MARKED.findall(text)]
