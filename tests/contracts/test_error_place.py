"""The place of an error is the innermost frame of users' code in its traceback."""

import traceback

import pytest

from millstream_contracts import place_of

OWN = '  File "/srv/app/shop/mail.py", line 88, in send_invoice\n    connect()\n'
LIBRARY = '  File "/srv/.venv/lib/python3.12/site-packages/smtplib2/client.py", line 9, in connect\n    raise X\n'
PYTHON = '  File "/usr/lib/python3.12/json/decoder.py", line 338, in decode\n'
HEAD = "Traceback (most recent call last):\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + OWN + LIBRARY + "X: no\n", "shop/mail.py:88 in send_invoice"),
        (HEAD + LIBRARY + OWN + PYTHON + "X: no\n", "shop/mail.py:88 in send_invoice"),
        (HEAD + PYTHON + "X: no\n", "json/decoder.py:338 in decode"),
        (HEAD + OWN + LIBRARY + "    ~~~~~~^^\n" + PYTHON + "X: no\n", "shop/mail.py:88 in send_invoice"),
        (HEAD + LIBRARY + "X\n\nDuring handling of the above exception, another exception occurred:\n\n" + HEAD + OWN,
         "shop/mail.py:88 in send_invoice"),
        (OWN + "timeout: took longer than 3 s\n", "shop/mail.py:88 in send_invoice"),
        ('  File "C:\\app\\shop\\x.py", line 3, in f\n', "shop/x.py:3 in f"),
        (HEAD + '  File "<frozen runpy>", line 3, in run\nValueError: x\n', "<frozen runpy>:3 in run"),
        ('  | ' + OWN.lstrip(), "shop/mail.py:88 in send_invoice"),
    ],
)  # fmt: skip
def test_the_place_is_that_of_users_code(text: str, expected: str) -> None:
    """Frames of installed packages and of Python are passed over, unless there is no other."""
    assert str(place_of(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "X: no", "File nowhere", '  File "", line 1', '  File "a", line 99999999999, in f']
)
def test_a_text_without_frames_has_no_place(text: str) -> None:
    """A text that is no traceback has no place, and raises nothing."""
    assert place_of(text) is None


def test_the_place_of_a_real_error_is_the_line_that_raised_it() -> None:
    """The traceback of Python itself is understood."""
    with pytest.raises(ValueError, match="x") as caught:
        fail()
    place = place_of("".join(traceback.format_exception(caught.value)))
    assert place is not None
    assert (place.file, place.function) == ("contracts/test_error_place.py", "fail")


def fail() -> None:
    """Raise an error."""
    raise ValueError("x")
