"""The internal decoders survive any bytes: those of cursors, of handler processes and of the client."""

import base64
import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import hypothesis
import msgspec
import pytest
from cli.commands import run
from fuzz.garbage import HOSTILE_JSON, HOSTILE_MSGPACK, mutations
from hypothesis import given
from hypothesis import strategies as st
from sdk.client.scripted_api import Reply, ScriptedApi, job_body

from millstream import SyncClient
from millstream.client.flow import Response
from millstream.client.response_reader import explain, read_response, retry_after_s
from millstream.errors import ApiError
from millstream_codec import PAYLOAD, Codec, Place
from millstream_contracts import Coding, Job, JobSpec, queue_of
from millstream_contracts.ids import DEFAULT_TENANT
from millstream_streams import CursorError
from millstream_streams.reading.listing import Cursor
from millstream_streams.store.specs import UNREADABLE, coded_spec, read_spec, read_value
from millstream_workers.errors import ProcessDiedError
from millstream_workers.isolation.crash_file import CrashFile
from millstream_workers.isolation.frames import (
    HEADER,
    FailureReport,
    FrameBuffer,
    Order,
    Report,
    decode_report,
    encode_frame,
)
from millstream_workers.isolation.guard import KILL
from millstream_workers.isolation.launcher import Launcher
from millstream_workers.isolation.line_file import LineFile
from millstream_workers.isolation.pooled_process import PooledProcess

TESTS = Path(__file__).parents[1]
fuzzed = hypothesis.settings(hypothesis.settings.get_profile("fuzz"), max_examples=300)
JOB_ID = "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"

SPEC = msgspec.msgpack.encode(
    JobSpec(payload=msgspec.Raw(b"\x81\xa1a\x01"), created_at_ms=1, timeout_s=1.0, tags={"a": "b"})
)
LARGE_SPEC = msgspec.msgpack.encode(
    JobSpec(payload=msgspec.Raw(msgspec.msgpack.encode({"text": "aye " * 500})), created_at_ms=1)
)
PLACE = Place("default", JOB_ID, PAYLOAD)
ORDER = Order(1, "any", JOB_ID, 1, 7, SPEC, None)
URL = "http://127.0.0.1:1/v1/jobs"


def text_of(blob: bytes) -> str:
    """Return bytes as the text of a cursor."""
    return base64.urlsafe_b64encode(blob).rstrip(b"=").decode()


@fuzzed
@given(mutations(coded_spec(LARGE_SPEC, lambda payload: Codec().write(payload, Coding(), PLACE))))
def test_compressed_spec_is_read_or_unreadable(blob):
    """A compressed spec of any bytes is decoded or unreadable, its payload shown or not, and no other error escapes."""
    spec = read_spec(blob)
    assert spec is UNREADABLE or isinstance(spec, JobSpec)
    read_value(spec.payload)


@fuzzed
@given(mutations(SPEC) | st.sampled_from(list(HOSTILE_MSGPACK.values())))
def test_spec_is_read_or_unreadable(blob):
    """A spec of any bytes is decoded or unreadable, and no other error escapes."""
    spec = read_spec(blob)
    assert spec is UNREADABLE or isinstance(spec, JobSpec)
    read_value(spec.payload)
    read_value(blob)


@fuzzed
@given(st.text(max_size=50) | mutations(msgspec.msgpack.encode(Cursor("default/a/00", 1, "5-1"))).map(text_of))
def test_cursor_is_read_or_refused(text):
    """A cursor of any text is refused, or is one that the list could have given out."""
    try:
        cursor = Cursor.decode(text)
    except CursorError:
        return
    assert Cursor.decode(cursor.encode()) == cursor
    assert cursor.position


@pytest.mark.parametrize("blob", HOSTILE_MSGPACK.values(), ids=HOSTILE_MSGPACK)
def test_hostile_cursor_is_refused(blob):
    """A hostile cursor is refused, as a whole and in a part."""
    for data in (blob, b"\x93" + blob + b"\x01\xa35-1", b"\x93\xacdefault/a/00" + blob + b"\xa0"):
        with pytest.raises(CursorError):
            Cursor.decode(text_of(data))


@fuzzed
@given(st.text(max_size=100) | mutations(JOB_ID.encode()).map(lambda data: data.decode("latin-1")))
def test_job_id_names_a_queue_or_nothing(text):
    """A text is a job id with a valid queue, or None."""
    queue = queue_of(DEFAULT_TENANT, text)
    assert queue is None or not set(queue.tag) & set("{}*?[]\n\0")


BODIES = {
    name: HOSTILE_MSGPACK[name]
    for name in (
        "nothing",
        "array of 4 G",
        "maps of 4 G in each other",
        "maps 100,000 deep",
        "ext type",
        "reserved byte",
    )
} | {
    "tag in no UTF-8": b"\x81\xa4type\xa2\xff\xfe",
    "a field in no UTF-8": b"\x82\xa4type\xa5order\xa8job_type\xa1\xff",
    "half a frame": encode_frame(ORDER)[HEADER.size :][:-9],
    "a frame of neither end": b"\x81\xa4type\xa5hello",
}
"""The bodies of frames whose length is right."""


class TestHandlerProcess:
    """Both ends of the channel to a handler process."""

    @pytest.mark.parametrize("cut", [1, 3, 4, 5, 40, -1])
    def test_process_ends_when_its_worker_dies_in_the_middle_of_an_order(self, cut):
        """A handler process ends when its worker dies in the middle of an order."""
        assert ends(encode_frame(ORDER)[:cut])

    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    def test_process_ends_over_an_order_that_is_none(self, body):
        """A handler process ends at an order that cannot be decoded."""
        assert ends(HEADER.pack(len(body)) + body, closes=False)

    @pytest.mark.parametrize(
        "order",
        [
            Order(1, "no.such.type", JOB_ID, 1, 7, SPEC, None),
            Order(1, "any", JOB_ID, 1, 7, b"\xff", None),
            Order(1, "any", JOB_ID, 1, 7, b"\xdd\xff\xff\xff\xff", None),
        ],
        ids=["no such type", "no spec", "a spec of 4 GB"],
    )
    def test_process_says_why_it_cannot_carry_out_an_order(self, order):
        """An order that cannot be carried out is answered with the error of the attempt."""
        with started_process() as (_, channel):
            channel.sendall(encode_frame(order))
            reports = received(channel)
            assert any(isinstance(report, FailureReport) and report.number == 1 for report in reports)

    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    async def test_worker_gives_a_process_up_that_says_what_it_cannot_read(self, tmp_path, body):
        """A worker gives up a process whose report it cannot decode."""
        await gives_up(tmp_path, HEADER.pack(len(body)) + body)

    @pytest.mark.parametrize(
        "data", [b"", b"\0", b"\0\0\0", HEADER.pack(50) + b"half", b"\xff\xff\xff\xff" + b"x" * 9_999]
    )
    async def test_worker_gives_a_process_up_that_ends_in_the_middle_of_a_report(self, tmp_path, data):
        """A worker gives up a process that ends in the middle of a report."""
        await gives_up(tmp_path, data)

    async def test_worker_does_not_wait_for_a_report_of_4_gb(self, tmp_path):
        """A worker gives up a process that announces a report of 4 GB."""
        await gives_up(tmp_path, b"\xff\xff\xff\xff" + b"x" * 9_999, stays=True)


@contextmanager
def started_process() -> Iterator[tuple["subprocess.Popen[bytes]", socket.socket]]:
    """Yield the guard of a handler process that is ready, and the worker's end of the channel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]))
        launcher = Launcher(["fuzz.processes:app"])
    guard, channel, crashes, lines = launcher.launch()
    launcher.close()
    channel.settimeout(60)
    with guard, channel, closing(crashes), closing(lines):
        try:
            assert next(received(channel)).number == 0
            yield guard, channel
        finally:
            with suppress(BrokenPipeError):
                guard.stdin.write(KILL)


def received(channel: socket.socket) -> Iterator[Report]:
    """Yield the reports of the process."""
    frames = FrameBuffer()
    while data := channel.recv(65_536):
        frames.feed(data)
        while (body := frames.take()) is not None:
            yield decode_report(body)


def ends(data: bytes, *, closes: bool = True) -> bool:
    """Return whether a handler process ends after these bytes, with or without the end of its channel."""
    with started_process() as (guard, channel):
        channel.sendall(data)
        if closes:
            channel.shutdown(socket.SHUT_WR)
        try:
            guard.wait(20)
        except subprocess.TimeoutExpired:
            return False
        return True


LIAR = """
import os, pathlib, sys, time
data = pathlib.Path(sys.argv[2]).read_bytes()
while data:
    data = data[os.write(int(sys.argv[1]), data):]
time.sleep(float(sys.argv[3]))
"""


class LyingLauncher:
    """A launcher of a program that is no handler process and writes to its channel."""

    def __init__(self, data: Path, stays_s: float) -> None:
        self._words = (str(data), str(stays_s))

    def launch(self) -> tuple["subprocess.Popen[bytes]", socket.socket, CrashFile, LineFile]:
        """Start the program."""
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-c", LIAR, str(number), *self._words]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(number,), bufsize=0)
        ours.setblocking(False)
        return process, ours, CrashFile(), LineFile(0)


async def gives_up(folder: Path, data: bytes, *, stays: bool = False) -> None:
    """Check that a worker gives up a process that reports this, with an error, and that the process is gone."""
    said = folder / "said"
    said.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("millstream_workers.isolation.pooled_process.END_WITHIN_S", 1.0)
        with anyio.fail_after(30), pytest.raises(ProcessDiedError):
            await PooledProcess.start(LyingLauncher(said, 60.0 if stays else 0.0))


class TestAnswers:
    """Responses to a client that no Millstream sent."""

    @fuzzed
    @given(
        content=mutations(msgspec.json.encode(job_body()), msgspec.msgpack.encode(job_body()))
        | st.sampled_from([*HOSTILE_JSON.values(), *HOSTILE_MSGPACK.values()]),
        content_type=st.sampled_from(["application/json", "application/vnd.msgpack", "text/html", "", "a/b+json"]),
        status=st.sampled_from([200, 202, 207, 400, 404, 409, 500, 503, 999]),
        retry_after=st.text(max_size=30)
        | st.sampled_from(["9" * 5_000, "٣", "1e9", "Fri, 31 Dec 9999 23:59:59 -2359"]),
    )
    def test_answer_is_read_or_an_api_error(self, content, content_type, status, retry_after):
        """Any response is decoded or raises ApiError, whose text is one printable line."""
        answer = Response(status, {"content-type": content_type, "retry-after": retry_after}, content)
        error = explain(answer, URL)
        assert isinstance(error, ApiError)
        assert str(error).isprintable()
        found = read_or_error(answer)
        assert isinstance(found, Job) or str(found).isprintable()

    @fuzzed
    @given(st.text(max_size=40) | st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT")))
    def test_retry_after_is_a_wait_or_nothing(self, text):
        """Any `Retry-After` is a finite time of at least zero, or nothing."""
        wait_s = retry_after_s({"retry-after": text}, datetime(2026, 1, 1, tzinfo=UTC))
        assert wait_s is None or (wait_s >= 0.0 and not math.isnan(wait_s))


def read_or_error(answer: Response) -> Job | ApiError:
    """Return the job in a response, or the error."""
    try:
        return read_response(answer, Job, URL)
    except ApiError as error:
        return error


@pytest.fixture
def liar() -> Iterator[ScriptedApi]:
    """Yield a server whose responses the test chooses."""
    api = ScriptedApi()
    yield api
    api.close()


GARBAGE = {
    "a page of a proxy": Reply(200, b"<html>Bad Gateway</html>", "text/html"),
    "nothing": Reply(200, b"", "application/json"),
    "no type": Reply(200, b"\x00", ""),
    "another object": Reply(200, {"a": 1}),
    "a list": Reply(200, [1, 2, 3]),
    "invalid UTF-8": Reply(200, b'{"id":"\xff"}', "application/json"),
    "invalid UTF-8 in MessagePack": Reply(200, b"\x81\xa2id\xa1\xff"),
    "nested": Reply(200, b"\x91" * 100_000),
    "nested in a field": Reply(200, b'{"payload":' + b"[" * 100_000, "application/json"),
    "a header of 4 GB": Reply(200, b"\xdf\xff\xff\xff\xff"),
    "a refusal with garbage": Reply(422, b"\xff\xfe", "application/problem+json"),
    "a refusal that is nested": Reply(404, b"[" * 100_000, "application/problem+json"),
    "a status of no kind": Reply(299, job_body() | {"state": "lost"}),
    "control characters": Reply(409, {"title": "\x1b[31mred\x07", "detail": "\x00\r\n"}, "application/problem+json"),
}


@pytest.mark.parametrize("reply", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("submit", ("a", 1)),
        ("submit_many", ("a", [1, 2])),
        ("get", (JOB_ID,)),
        ("cancel", (JOB_ID,)),
        ("jobs", ()),
        ("queues", ()),
        ("workers", ()),
        ("dead", ()),
    ],
)
def test_client_raises_an_api_error_when_it_is_answered_garbage(liar, method, arguments, reply):
    """The client raises ApiError for any response."""
    liar.script.extend([reply] * 20)
    with SyncClient(liar.url) as client, pytest.raises(ApiError) as caught:
        getattr(client, method)(*arguments)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("reply", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize(
    "words",
    [
        ("submit", "a"),
        ("job", JOB_ID),
        ("job", JOB_ID, "--cancel"),
        ("queues",),
        ("dead",),
        ("dead", "redrive", JOB_ID),
    ],
    ids=" ".join,
)
def test_command_says_what_is_wrong_when_it_is_answered_garbage(liar, words, reply):
    """A command reports any response in words, with an exit status, without a traceback or control characters."""
    liar.script.extend([reply] * 20)
    result = run(*words, "--url", liar.url)
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in {1, 2, 3, 5}
    assert "Traceback" not in result.output
    assert result.output.replace("\n", "").isprintable()
