"""A listener holds what its client has not been sent, within bounds."""

from contextlib import aclosing

from millstream_contracts import DEFAULT_TENANT
from millstream_ingest.events.frames import GAP_FRAME
from millstream_ingest.events.listener import MAX_FRAMES, Choice, Listener


async def written(listener: Listener) -> list[bytes]:
    """Close a listener, and return what is written until its end."""
    listener.close()
    async with aclosing(listener.pieces(lambda: 0)) as pieces:
        return [piece async for piece in pieces]


async def test_what_waits_is_written_together_and_in_order() -> None:
    """Frames that wait for the client leave in one piece, in their order, also when the listener is closed."""
    listener = Listener(Choice(DEFAULT_TENANT), 0)
    assert [listener.push(b"%d" % number) for number in range(3)] == [True] * 3
    assert await written(listener) == [b"012"]


async def test_a_client_that_is_too_slow_loses_what_waits_and_is_told() -> None:
    """When the buffer is full it is emptied, and the client gets a gap and then what came after it."""
    listener = Listener(Choice(DEFAULT_TENANT), 0)
    assert all(listener.push(b"x") for _ in range(MAX_FRAMES))
    assert not listener.push(b"y")
    assert listener.push(b"z")
    assert await written(listener) == [GAP_FRAME + b"yz"]


async def test_frames_that_come_after_a_piece_are_in_the_next_one() -> None:
    """Each frame is written once."""
    listener = Listener(Choice(DEFAULT_TENANT), 0)
    listener.push(b"a")
    async with aclosing(listener.pieces(lambda: 0)) as pieces:
        assert await anext(pieces) == b"a"
        listener.push(b"b")
        assert await anext(pieces) == b"b"
