"""Celery on Redis: threads."""

import time

from celery import Celery, chord
from celery.signals import worker_init
from jobs import IO_S, PAYLOAD, flow_width, redis_url
from submitter import obey
from tally import Tally

tally = Tally()
app = Celery("bench", broker=redis_url(), backend=redis_url())
app.conf.update(
    task_ignore_result=True,
    worker_disable_rate_limits=True,
    worker_prefetch_multiplier=10,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@worker_init.connect
def enter(**_: object) -> None:
    """Wait at the turnstile."""
    tally.enter()


@app.task(name="noop")
def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


@app.task(name="flow", ignore_result=False)
def flow(_payload: str) -> None:
    """Do nothing, and say so to the chord."""
    tally.done()


@app.task(name="flow_end")
def flow_end(_results: list[None], _payload: str) -> None:
    """Do nothing, after the others of the chord."""
    tally.done()


@app.task(name="io")
def io(_payload: str) -> None:
    """Wait as if for I/O."""
    time.sleep(IO_S)
    tally.done()


@app.task(name="stamp")
def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


def _fill(job: str, count: int) -> None:
    if job == "flow":
        header = [flow.s(PAYLOAD)] * flow_width()
        for _ in range(count // (len(header) + 1)):
            chord(header)(flow_end.s(PAYLOAD))
        return
    task = {"noop": noop, "io": io}[job]
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            task.apply_async((PAYLOAD,), producer=producer)


if __name__ == "__main__":
    obey(_fill, stamp.delay)
