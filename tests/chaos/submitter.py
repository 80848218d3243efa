"""The load: submissions at a bounded rate to every ingest, each with an Idempotency-Key and repetitions."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import anyio
import httpx2
from chaos.fleet import NO_ANSWER
from chaos.journal import now_ms
from chaos.ledger import Answer, Entry, Ledger
from chaos.service import Service
from chaos.unique_names import UniqueName
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, Tenant, id_of_key

TRIES = 3
PAUSE_S = 0.4
"""The pause between two tries, jittered. It is shorter than Retry-After asks for, so that more requests meet the fault.
"""
ANSWER_WITHIN_S = 5.0
AT_ONCE = 64
"""The bound on requests under way, because the proxies share this loop, and httpx2 gets slower with each waiting
request.
"""

REPLACEABLE_FOR_S = 0.5
"""How long unique jobs wait that may replace each other."""

PRIORITIES = ("high", "normal", "normal", "low")


class Wish(Struct, frozen=True, kw_only=True):
    """A kind of submission, and how to draw one."""

    type: str
    weight: int = 1
    """How often it is drawn, beside the others of a mix."""
    seconds: tuple[float, float] = (0.0, 0.0)
    times: tuple[int, int] = (0, 0)
    delay_s: tuple[float, float] = (0.0, 0.0)
    more: dict[str, str] = {}
    """Further members of the payload."""
    after: tuple[str, ...] = ()
    """Ids of the jobs that it waits for, whatever becomes of them."""
    keys: int = 0
    """How many keys these jobs have; without keys they have none."""
    unique: bool = False
    """Whether they have unique keys."""

    def draw(self, key: str, rng: random.Random) -> dict[str, Any]:
        """Return the body of a request."""
        body: dict[str, Any] = {
            "type": self.type,
            "payload": {
                "key": key,
                "seconds": round(rng.uniform(*self.seconds), 2),
                "times": rng.randint(*self.times),
                **self.more,
            },
            "priority": rng.choice(PRIORITIES),
        }
        if self.delay_s[1]:
            body["delay_s"] = round(rng.uniform(*self.delay_s), 2)
        if self.after:
            body |= {"after": self.after, "after_failure": "run"}
        if self.keys:
            body["key"] = key_of(key, self.keys)
        if self.unique:
            name = UniqueName.of(key)
            body["unique"] = name.body
            # Only a job that has not started is replaced.
            if name.on_conflict == "replace":
                body["delay_s"] = REPLACEABLE_FOR_S
        return body


def key_of(name: str, keys: int) -> str:
    """Return the key of the job of this name, of so many."""
    return f"customer {int(name[1:], 16) % keys}"


EVERYDAY = (
    Wish(type="chaos.quick", weight=50),
    Wish(type="chaos.slow", weight=12, seconds=(0.2, 2.0)),
    Wish(type="chaos.thread", weight=4, seconds=(0.1, 1.0)),
    Wish(type="chaos.flaky", weight=10, times=(1, 2)),
    Wish(type="chaos.snoozer", weight=6, times=(1, 2)),
    Wish(type="chaos.parent", weight=8),
    Wish(type="chaos.hopeless", weight=2),
    Wish(type="chaos.quick", weight=8, delay_s=(0.2, 3.0)),
    Wish(type="chaos.spread", weight=10),
)
"""The ordinary load."""


class Submitter:
    """Submits jobs and records the responses; an async context manager."""

    def __init__(
        self,
        ingests: Sequence[Service],
        rng: random.Random,
        headers: Mapping[str, str],
        *,
        ledger: Ledger | None = None,
        tenant: Tenant = DEFAULT_TENANT,
        choose_key: Callable[[], str] | None = None,
    ) -> None:
        """Take the ledger to record in, and what returns the API key of each request of a tenant."""
        self.ledger = Ledger() if ledger is None else ledger
        self.copies = 1
        """How often each request is sent, whatever the answer."""
        self._ingests = ingests
        self._headers = headers
        self._tenant = tenant
        self._choose_key = choose_key
        self._rng = rng
        # To wait for a connection of our own is no silence of the service.
        self._http = httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(ANSWER_WITHIN_S, pool=None))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def load(self, rate_per_s: float, mix: Sequence[Wish], stop: anyio.Event) -> None:
        """Submit at this rate until stopped; return once the last request is answered.

        A submission that is late is skipped, because catching up after a pause would make the next one longer.
        """
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one(wish: Wish) -> None:
            async with limiter:
                await self.submit(wish)

        async with anyio.create_task_group() as tasks:
            while not stop.is_set():
                if limiter.available_tokens > 0:
                    [wish] = self._rng.choices(mix, [wish.weight for wish in mix])
                    tasks.start_soon(one, wish)
                with anyio.move_on_after(1 / rate_per_s):
                    await stop.wait()

    async def submit_many(self, wish: Wish, count: int) -> list[Entry]:
        """Submit some jobs of a kind, as fast as they are accepted."""
        entries: list[Entry] = []
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one() -> None:
            async with limiter:
                entries.append(await self.submit(wish))

        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one)
        return entries

    async def submit(self, wish: Wish) -> Entry:
        """Submit a job: every copy of the request at once, each with its own repetitions."""
        key = f"k{self._rng.getrandbits(64):016x}"
        body = wish.draw(key, self._rng)
        entry = self.ledger.open(key, wish.type, body.get("delay_s", 0.0), wish.after, self._tenant)
        at = self._rng.randrange(len(self._ingests))
        async with anyio.create_task_group() as tasks:
            for copy in range(self.copies):
                tasks.start_soon(self._persist, entry, body, at + copy)
        return entry

    async def _persist(self, entry: Entry, body: dict[str, Any], at: int) -> None:
        for again in range(TRIES):
            # Another ingest each time, as a load balancer may have it.
            answer = await self._post(entry, body, self._ingests[(at + again) % len(self._ingests)])
            if answer.is_accepted or (answer.is_certain_refusal and answer.status != 503):
                return
            if again + 1 < TRIES:
                await anyio.sleep(PAUSE_S * self._rng.uniform(0.5, 1.5))

    async def _post(self, entry: Entry, body: dict[str, Any], ingest: Service) -> Answer:
        entry.sent += 1
        at_ms, begun, pid = now_ms(), time.monotonic(), ingest.pid
        api_key = self._choose_key() if self._choose_key else ""
        bearer = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            headers = {"Idempotency-Key": entry.key, **self._headers, **bearer}
            response = await self._http.post(f"{ingest.url('listening')}/v1/jobs", json=body, headers=headers)
        except NO_ANSWER:
            answer = Answer(at_ms, time.monotonic() - begun, pid=pid)
        else:
            answer = _answer(at_ms, time.monotonic() - begun, pid, response)
        answer = replace(answer, key_id=id_of_key(api_key) or "")
        entry.answers.append(answer)
        return answer


def _answer(at_ms: int, seconds: float, pid: int, response: httpx2.Response) -> Answer:
    told = response.json()
    return Answer(
        at_ms,
        seconds,
        response.status_code,
        id=told.get("id", ""),
        problem=str(told.get("type", "")).rpartition("/")[2] if response.status_code >= 400 else "",
        retry_after_s=float(response.headers.get("retry-after", 0)),
        pid=pid,
    )
