"""Log lines hide what is named like a secret, in fields and in texts."""

from datetime import UTC, datetime

import pytest

from millstream import LogLine
from millstream_console.drawing.log_lines import line_blocks, line_text, masked_text
from millstream_console.drawing.masking import MASK, names_secret
from millstream_console.settings import MASKED

IS_SECRET = names_secret(MASKED)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2 user=ann", f"password={MASK} user=ann"),
        ('{"api_key": "a b", "n": 1}', f'{{"api_key": {MASK}, "n": 1}}'),
        ("{'token': 'x'}", f"{{'token': {MASK}}}"),
        ("Authorization: Bearer abc.def went", f"Authorization: {MASK} went"),
        ("max_tokens=7", "max_tokens=7"),
        ("the password was wrong", "the password was wrong"),
        ("https://shop/x?access_token=abc&n=1", f"https://shop/x?access_token={MASK}&n=1"),
    ],
)
def test_a_text_hides_the_value_behind_a_secret_name(text: str, shown: str) -> None:
    """A value is hidden where its name stands before it; all else is as it was logged."""
    assert masked_text(text, IS_SECRET) == shown


def test_a_line_has_its_fields_and_hides_those_of_secrets() -> None:
    """Short fields stand behind the message, those of several lines apart."""
    fields = {"to": "ann", "db_password": "hunter2", "exception": "Traceback\nKeyError: token=abc"}
    line = LogLine(at=datetime.now(UTC), level="info", message="sent", fields=fields)
    assert line_text(line, IS_SECRET) == f"sent to=ann db_password={MASK}"
    assert line_blocks(line, IS_SECRET) == [["Traceback", f"KeyError: token={MASK}"]]
