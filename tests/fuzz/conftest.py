"""Runs an ingest process for all tests of a module, and checks at the end of each test that it survived."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import httpx2
import hypothesis
import pytest
from fuzz.target import Target, running_target
from workers.floor import Floor, open_floor

from millstream_streams import Broker

# Every run of `make test` tries the same examples; FUZZ_EXAMPLES tries so many, and others each time.
_WISHED = os.environ.get("FUZZ_EXAMPLES")
hypothesis.settings.register_profile(
    "fuzz",
    hypothesis.settings.get_profile("millstream"),
    max_examples=int(_WISHED or 25),
    derandomize=not _WISHED,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def target(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Yield an ingest process that accepts jobs of any type."""
    namespace = f"fuzz{secrets.token_hex(6)}"
    with running_target(redis_url, namespace, tmp_path_factory.mktemp("ingest")) as running:
        yield running


@pytest.fixture(scope="module")
def http(target: Target) -> Iterator[httpx2.Client]:
    """Yield a plain HTTP client of the ingest. A request without a response within the timeout fails."""
    with httpx2.Client(base_url=target.url, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
async def floor(broker: Broker, redis_url: str) -> AsyncIterator[Floor]:
    """Yield a floor of workers that is not audited at its end, because its jobs are broken on purpose."""
    async with open_floor(broker, redis_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def survives(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test when the ingest has crashed, over a request or as a whole."""
    yield
    if "target" in request.fixturenames:
        target: Target = request.getfixturevalue("target")
        assert target.is_alive
        assert target.crashes() == []
