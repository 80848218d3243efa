"""The retry policy makes pure decisions by a clock that the test moves."""

import random

import pytest
from sdk.client.scripted_api import MSGPACK, Reply, job_body

from millstream import UnavailableError
from millstream.client.api import Api
from millstream.client.flow import ApiFlow, NoResponse, Request, Response
from millstream.client.retrier import Call, Retrier
from millstream.errors import ApiError, WaitTimeoutError
from millstream_contracts import Job

LOST = NoResponse("cut", maybe_done=True)


class Clock:
    """A clock that stands still unless the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pass_over(self, request: Request, served_s: float = 0.0) -> None:
        """Advance the clock by the time that a request waits and takes."""
        self.now += request.delay_s + served_s


def keep_failing(flow: ApiFlow[Job], clock: Clock) -> None:
    """Lose every response after half a second."""
    while True:
        clock.pass_over(flow.send(LOST), served_s=0.5)


def make_retrier(clock: Clock, retry_for_s: float = 30.0) -> Retrier:
    """Return a retrier that uses this clock."""
    return Retrier("http://h", retry_for_s=retry_for_s, timeout_s=10, headers={}, clock=clock)


def answer(body: object, status: int = 200, **headers: str) -> Response:
    """Return a response in MessagePack."""
    return Response(status, {"content-type": MSGPACK, **headers}, Reply(body=body).encoded())


def test_flow_waits_at_least_retry_after_when_told() -> None:
    """The pause before a repetition is Retry-After plus a random part."""
    flow = make_retrier(Clock()).flow(Call(path="/x", returns=Job))
    assert next(flow).delay_s == 0
    again = flow.send(answer({}, 503, **{"retry-after": "7"}))
    assert 7 <= again.delay_s <= 7.1


def test_flow_adds_the_drawn_pause_to_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random pause is added to Retry-After, so that clients with the same Retry-After come back apart."""
    monkeypatch.setattr(random, "uniform", lambda _, upper: upper)
    flow = make_retrier(Clock()).flow(Call(path="/x", returns=Job))
    next(flow)
    pauses = [flow.send(answer({}, 503, **{"retry-after": "2"})).delay_s for _ in range(3)]
    assert pauses == pytest.approx([2.1, 2.2, 2.4])


def test_flow_pauses_within_a_growing_bound_when_failing() -> None:
    """The n-th pause lies between zero and a bound that doubles from 0.1 s up to 5 s."""
    flow = make_retrier(Clock()).flow(Call(path="/x", returns=Job))
    next(flow)
    pauses = [flow.send(LOST).delay_s for _ in range(12)]
    bounds = [min(0.1 * 2**n, 5.0) for n in range(12)]
    assert all(0 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    assert len(set(pauses)) == 12


def test_flow_draws_each_pause_from_the_whole_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest pauses are 0.1, 0.2, 0.4 s and so on, and 5 s from the seventh on."""
    monkeypatch.setattr(random, "uniform", lambda _, upper: upper)
    flow = make_retrier(Clock(), retry_for_s=1000).flow(Call(path="/x", returns=Job))
    next(flow)
    pauses = [flow.send(LOST).delay_s for _ in range(8)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_flow_makes_no_call_after_the_moment_until_which_it_is_of_use() -> None:
    """A call with a deadline is not repeated after it, though the retry window is longer."""
    clock = Clock()
    flow = make_retrier(clock, retry_for_s=100).flow(Call(path="/x", returns=Job), until=clock.now + 2)
    clock.pass_over(next(flow))
    with pytest.raises(UnavailableError, match="cut"):
        keep_failing(flow, clock)
    assert clock.now <= 1002.5


def test_flow_puts_the_headers_of_a_call_before_those_of_the_client() -> None:
    """The headers of the client are sent with each request, and those of the call, such as its key, win over them."""
    headers = {"accept": "application/json", "idempotency-key": "mine", "x-mine": "yes"}
    retrier = Retrier("http://h", retry_for_s=1, timeout_s=1, headers=headers)
    request = next(retrier.flow(Call(path="/x", returns=Job, headers={"idempotency-key": "k"})))
    assert request.headers == {"accept": "application/json", "idempotency-key": "k", "x-mine": "yes"}


def test_flow_gives_up_when_the_window_after_the_first_failure_is_over() -> None:
    """The retry window begins with the first failure, however long the first request took."""
    clock = Clock()
    flow = make_retrier(clock, retry_for_s=3.0).flow(Call(path="/x", returns=Job))
    clock.pass_over(next(flow), served_s=100)
    failed_at = clock.now
    with pytest.raises(UnavailableError, match="cut"):
        keep_failing(flow, clock)
    assert 0 < clock.now - failed_at <= 3.5


def test_flow_repeats_an_unrepeatable_call_only_when_it_was_not_sent() -> None:
    """A call that must not be made twice is repeated after a refused connection, and not after a lost response."""
    call = Call(path="/x", returns=Job, repeatable=False)
    flow = make_retrier(Clock()).flow(call)
    next(flow)
    flow.send(NoResponse("refused", maybe_done=False))
    with pytest.raises(UnavailableError):
        flow.send(LOST)


@pytest.mark.parametrize("status", [502, 504])
def test_flow_does_not_repeat_an_unrepeatable_call_when_a_proxy_lost_it(status: int) -> None:
    """A call that must not be made twice is not repeated after the error of a gateway."""
    flow = make_retrier(Clock()).flow(Call(path="/x", returns=Job, repeatable=False))
    next(flow)
    with pytest.raises(ApiError):
        flow.send(answer({}, status))


def test_wait_polls_until_settled() -> None:
    """A wait that is longer than the API allows consists of several long polls."""
    clock = Clock()
    flow = Api(make_retrier(clock)).wait("x_1", 45.0)
    first = next(flow)
    assert first.url == "http://h/v1/jobs/x_1?wait=30"
    assert (first.delay_s, first.response_within_s) == (0, 40)
    clock.pass_over(first, served_s=30)
    second = flow.send(answer(job_body(state="running")))
    assert second.url == "http://h/v1/jobs/x_1?wait=15"
    assert second.response_within_s == 25
    with pytest.raises(StopIteration) as end:
        flow.send(answer(job_body(state="dead")))
    assert end.value.value.state == "dead"


def test_wait_raises_when_the_time_is_over() -> None:
    """A wait whose time is over raises WaitTimeoutError, which has the state of the job."""
    clock = Clock()
    flow = Api(make_retrier(clock)).wait("x_1", 2.5)
    request = next(flow)
    assert request.url.endswith("?wait=2.5")
    clock.pass_over(request, served_s=2.5)
    with pytest.raises(WaitTimeoutError, match=r"job x_1 is running after 2.5 s; it goes on"):
        flow.send(answer(job_body(state="running")))


def test_wait_asks_at_most_once_a_second_when_answered_at_once() -> None:
    """A server that answers long polls at once is asked at most once a second."""
    clock = Clock()
    flow = Api(make_retrier(clock)).wait("x_1", 10)
    clock.pass_over(next(flow), served_s=0.25)
    again = flow.send(answer(job_body()))
    assert again.delay_s == pytest.approx(0.75)
    assert again.url.endswith("?wait=9")
    for left_s in range(8, 0, -1):
        clock.pass_over(again, served_s=0.25)
        again = flow.send(answer(job_body()))
        assert again.delay_s == pytest.approx(0.75)
        assert float(again.url.partition("wait=")[2]) == pytest.approx(left_s, abs=0.001)


def test_wait_looks_once_more_at_the_end_of_its_time() -> None:
    """The pause before the last poll is shortened, so that the poll comes at the end of the wait."""
    clock = Clock()
    flow = Api(make_retrier(clock)).wait("x_1", 0.7)
    clock.pass_over(next(flow), served_s=0.25)
    last = flow.send(answer(job_body()))
    assert last.delay_s == pytest.approx(0.45)
    assert last.url.endswith("?wait=0")
    clock.pass_over(last)
    with pytest.raises(WaitTimeoutError):
        flow.send(answer(job_body()))


@pytest.mark.parametrize("timeout_s", [0, -1])
def test_wait_holds_no_answer_back_when_there_is_no_time(timeout_s: float) -> None:
    """A wait of no time asks once and at once."""
    clock = Clock()
    flow = Api(make_retrier(clock)).wait("x_1", timeout_s)
    request = next(flow)
    clock.pass_over(request, served_s=0.1)
    assert request.url.endswith("?wait=0")
    with pytest.raises(WaitTimeoutError):
        flow.send(answer(job_body(state="running")))


def test_wait_gives_up_with_its_time_when_the_service_is_away() -> None:
    """A lost long poll is repeated only until the end of the wait, though the retry window is longer."""
    clock = Clock()
    flow = Api(make_retrier(clock, retry_for_s=100)).wait("x_1", 3)
    clock.pass_over(next(flow), served_s=0.5)
    with pytest.raises(UnavailableError, match="cut"):
        keep_failing(flow, clock)
    assert clock.now <= 1003.5


def test_wait_asks_for_what_is_left_when_a_poll_is_lost() -> None:
    """A repeated long poll asks for the time that is left."""
    clock = Clock()
    flow = Api(make_retrier(clock)).wait("x_1", 20)
    clock.pass_over(next(flow), served_s=15)
    again = flow.send(LOST)
    left_s = 5 - again.delay_s
    assert float(again.url.partition("wait=")[2]) == pytest.approx(left_s, abs=0.001)


@pytest.mark.parametrize("job_id", ["../health", "a?b", "a#b", "a/b"])
def test_get_keeps_an_id_in_its_place_when_it_is_odd(job_id: str) -> None:
    """An id with any characters stays one part of the path."""
    url = next(Api(make_retrier(Clock())).get(job_id)).url
    assert url.startswith("http://h/v1/jobs/")
    assert not set("/?#") & set(url.removeprefix("http://h/v1/jobs/"))
