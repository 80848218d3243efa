"""The frames of a traceback that are a user's own code: not ours, not of a library, not of Python."""

import sysconfig
import traceback
from pathlib import Path

_OTHERS = tuple(
    {sysconfig.get_path(name) + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {str(Path(__file__).parent) + "/", "<frozen "}
)


def own_frames(error: BaseException) -> list[str]:
    """Return `file:line in function: code` for each frame of a user, the outermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [
        f"{_shown(frame.filename)}:{frame.lineno} in {frame.name}: {frame.line}"
        for frame in frames
        if not frame.filename.startswith(_OTHERS)
    ]


def _shown(file: str) -> str:
    """Return a path as short as it can be told: below the current folder without that."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):  # the folder may have been removed
        return file
