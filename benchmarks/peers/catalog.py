"""The measured systems, with packages, versions, commands and settings."""

import sys

from msgspec import Struct

_UVLOOP = "uvloop==0.23.0"
_HIREDIS = "hiredis==3.5.0"


LIMITED = ("limited", "rated", "held")
"""The measurements of limits."""


class System(Struct, frozen=True, kw_only=True):
    """One system. In command lines, `{bin}` is the folder of its environment's programs."""

    name: str
    settings: str
    """The options of the system, in words, for the output."""
    worker: tuple[str, ...]
    """The command of one worker process; `{job}` is the job to run, `{concurrency}` how many at a time."""
    submitter: tuple[str, ...]
    environment: str = ""
    """The name of its environment; empty for this project's own."""
    flows: bool = False
    """Whether its flows are measured: a hundred jobs and one that waits for them."""
    limits: bool = False
    """Whether its limits of concurrency and rate over all workers are measured."""
    beside: tuple[str, ...] = ()
    """The command of the process that flows need beside those of the workers."""
    requires: tuple[str, ...] = ()
    """Packages with versions, from PyPI, or from npm in an environment of Node's."""
    node: bool = False
    min_python: tuple[int, int] = (3, 11)
    concurrency: int = 100
    """The concurrency of no-op jobs at which the system is fastest; jobs with I/O always run 100 at a time."""
    variables: dict[str, str] = {}
    own_benchmark: str = ""
    """What was taken from the system's own benchmark."""

    def has(self, measurement: str) -> bool:
        """Return whether the system has what is measured."""
        return {"flow": self.flows, **dict.fromkeys(LIMITED, self.limits)}.get(measurement, True)


def _python(adapter: str) -> tuple[str, ...]:
    return ("{bin}/python", f"{adapter}.py")


MILLSTREAM = System(
    name="millstream",
    settings="all defaults: state, result, events, fencing, metrics and traces on; two batches of 100 at a time",
    worker=(
        *(sys.executable, "-m", "millstream_cli.main", "worker", "millstream_peer:app"),
        *("--types", "bench.{job}", "--concurrency", "{concurrency}"),
    ),
    submitter=(sys.executable, "millstream_peer.py"),
    flows=True,
    limits=True,
    beside=(sys.executable, "-m", "millstream_cli.main", "dispatcher"),
    variables={"MILLSTREAM_LOG_LEVEL": "warning"},
)

_TASKIQ = System(
    name="taskiq",
    settings="Redis Streams read by 100, --max-prefetch 100, --no-parse, uvloop, no results; 32 submissions at a time",
    worker=(
        *("{bin}/taskiq", "worker", "taskiq_peer:broker", "--workers", "1", "--log-level", "WARNING"),
        *("--max-async-tasks", "{concurrency}", "--max-prefetch", "{concurrency}", "--no-parse"),
    ),
    submitter=_python("taskiq_peer"),
    environment="taskiq",
    requires=("taskiq==0.13.0", "taskiq-redis==1.2.4", _UVLOOP, _HIREDIS),
)

PEERS = (
    System(
        name="bullmq",
        settings="Node, concurrency 100, finished jobs removed; addBulk of 100, of flows of 10",
        worker=("node", "bullmq_peer.mjs", "work"),
        submitter=("node", "bullmq_peer.mjs"),
        flows=True,
        limits=True,
        environment="bullmq",
        requires=("bullmq@6.7.0", "ioredis@6.0.0"),
        node=True,
        own_benchmark="bullmq-bench: no-op jobs put in by addBulk of 100, worker started on the full queue",
    ),
    System(
        name="ardiq",
        settings="concurrency 100, prefetch 200 (its default, twice that), no results; enqueue_many of 1,000",
        worker=("{bin}/ardiq", "run", "ardiq_peer:app", "--quiet"),
        submitter=_python("ardiq_peer"),
        environment="ardiq",
        requires=("ardiq==1.2.0", _UVLOOP),
        min_python=(3, 12),
        own_benchmark="python-task-queue-benchmarks: one worker on a full queue of 20,000 that do nothing",
    ),
    _TASKIQ,
    System(
        name="taskiq-results",
        settings=_TASKIQ.settings.replace("no results", "results in Redis for 600 s"),
        worker=_TASKIQ.worker,
        submitter=_TASKIQ.submitter,
        environment=_TASKIQ.environment,
        requires=_TASKIQ.requires,
        variables={"BENCH_RESULTS": "1"},
    ),
    System(
        name="dramatiq",
        settings="32 threads, 100 for I/O, default middleware, prefetch twice the threads; send one by one",
        worker=("{bin}/dramatiq", "dramatiq_peer", "--processes", "1", "--threads", "{concurrency}"),
        submitter=_python("dramatiq_peer"),
        environment="dramatiq",
        requires=("dramatiq[redis]==2.2.1", _HIREDIS),
        concurrency=32,
        own_benchmark="bench.py: the queue filled by send(), then the command line's worker",
    ),
    System(
        name="saq",
        settings="uvloop, concurrency 32, 100 for I/O, no results (ttl=-1); 20 submissions at a time",
        worker=("{bin}/saq", "saq_peer.settings", "--quiet"),
        submitter=_python("saq_peer"),
        environment="saq",
        requires=("saq[hiredis]==0.26.4", "typing_extensions==4.16.0", _UVLOOP),
        concurrency=32,
        own_benchmark="benchmarks/simple.py: 20 submissions at a time",
    ),
    System(
        name="arq",
        settings="uvloop, polls of 100 every 10 ms instead of 500 every 500, no results; 32 submissions at a time",
        worker=("{bin}/arq", "arq_peer.WorkerSettings", "--custom-log-dict", "arq_peer.QUIET"),
        submitter=_python("arq_peer"),
        environment="arq",
        requires=("arq==0.28.0", _UVLOOP, _HIREDIS),
    ),
    System(
        name="streaq",
        settings="uvloop, concurrency 32, 100 for I/O, no results (ttl=0), silent tasks; enqueue_many of 1,000",
        worker=("{bin}/streaq", "run", "streaq_peer:worker"),
        submitter=_python("streaq_peer"),
        environment="streaq",
        requires=("streaq==7.2.0", _UVLOOP),
        concurrency=32,
        own_benchmark="benchmarks/bench_streaq.py: 32 no-op jobs at a time",
    ),
    System(
        name="docket",
        settings="uvloop, concurrency 100, execution_ttl 0 ('maximum throughput'), check interval 5 ms; add_many",
        worker=(*_python("docket_peer"), "work"),
        submitter=_python("docket_peer"),
        limits=True,
        environment="docket",
        requires=("pydocket==0.27.0", _UVLOOP, _HIREDIS),
    ),
    System(
        name="celery",
        settings="100 threads, prefetch 10 a thread, no results but those of chords, no rate limits, gossip, mingle, "
        "heartbeat",
        worker=(
            *("{bin}/celery", "--app", "celery_peer", "worker", "--pool", "threads"),
            *("--concurrency", "{concurrency}", "--loglevel", "WARNING", "--hostname", "{id}@localhost"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ),
        submitter=_python("celery_peer"),
        flows=True,
        environment="celery",
        requires=("celery[redis]==5.7.0", _HIREDIS),
    ),
)
