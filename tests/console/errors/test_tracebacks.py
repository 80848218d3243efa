"""The text of a traceback is read into frames of users and of libraries."""

from console.seeding import TRACEBACK

from millstream_console.drawing.tracebacks import read_traceback


def test_a_chain_of_errors_is_read_last_first() -> None:
    """The error that was raised last comes first, its causes after it, each with its frames and its text."""
    raised, cause = read_traceback(TRACEBACK)
    assert (raised.text, raised.link) == ("shop.mail.MailError: no route", "")
    assert (cause.kind, cause.link, cause.frames[0].code) == ("TimeoutError", "Caused by", "raise TimeoutError")
    assert [(frame.place, frame.library) for frame in raised.frames] == [
        ("shop/app.py:13", ""),
        ("aiosmtplib/client.py:312", "aiosmtplib"),
        ("asyncio/tasks.py:520", "asyncio"),
    ]
    # The line of carets that points into the code is no code.
    assert raised.frames[1].code == "await self._execute()"


def test_any_text_is_read_without_an_error() -> None:
    """What is no traceback has no frames; a message of several lines, and a text without its beginning, keep theirs."""
    for text in ("", "nonsense", "Traceback (most recent call last):", '  File "', "\x00" * 9, "|" * 50_000):
        assert read_traceback(text) == []
    text = '  File "a/b.py", line 1, in f\n    g()\nValueError: one\n  two\nthree\n'
    [raised] = read_traceback(text)
    assert raised.text == "ValueError: one\n  two\nthree"


def test_an_exception_group_has_the_frames_of_all() -> None:
    """Lines of groups have bars before them."""
    text = (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "/srv/shop/app.py", line 5, in main\n'
        "  |     async with group:\n"
        "  | ExceptionGroup: two (1 sub-exception)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | Traceback (most recent call last):\n"
        '    |   File "/srv/shop/app.py", line 9, in part\n'
        "    |     raise ValueError\n"
        "    | ValueError\n"
        "    +------------------------------------\n"
    )
    [raised] = read_traceback(text)
    assert [frame.line for frame in raised.frames] == [5, 9]
