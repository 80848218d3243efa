"""Dramatiq on Redis: threads."""

import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from jobs import IO_S, PAYLOAD, redis_url
from submitter import obey
from tally import Tally

tally = Tally()


class Turnstile(dramatiq.Middleware):
    """Keeps a worker process at the turnstile."""

    def before_worker_boot(self, _broker: dramatiq.Broker, _worker: dramatiq.Worker) -> None:
        """Wait there."""
        tally.enter()


broker = RedisBroker(url=redis_url())
broker.add_middleware(Turnstile())
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


@dramatiq.actor
def io(_payload: str) -> None:
    """Wait as if for I/O."""
    time.sleep(IO_S)
    tally.done()


@dramatiq.actor
def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


def _fill(job: str, count: int) -> None:
    actor = {"noop": noop, "io": io}[job]
    for _ in range(count):
        actor.send(PAYLOAD)


if __name__ == "__main__":
    obey(_fill, stamp.send)
