"""Names that clients give, as parts of paths: of schedules and of templates."""

import re

from millstream_contracts import SCHEDULE_NAME_PATTERN, FieldError
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST

_NAME = re.compile(SCHEDULE_NAME_PATTERN)
_WANTED = "expected 1 to 128 of the characters a-z, A-Z, 0-9, `.`, `_`, `-`, the first one a letter or a digit"


def check_name(name: str, what: str) -> None:
    """Refuse what can be no name. Raises: IngestError (422)."""
    if not _NAME.fullmatch(name):
        raise IngestError(INVALID_REQUEST, f"the name of a {what}: {_WANTED}", [FieldError("", _WANTED)])
