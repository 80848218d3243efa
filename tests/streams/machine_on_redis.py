"""What the random state machines have in common: a loop and a namespace of their own, and no keys at the end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine
from streams.seeds import nonce

from millstream_streams import Broker, open_broker


class MachineOnRedis(RuleBasedStateMachine):
    """Runs async steps, which hypothesis knows nothing of."""

    redis_url = ""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.Runner()
        self._opened = open_broker(self.redis_url, namespace=f"t{nonce()}{nonce()}")
        self.broker: Broker = self.do(self._opened.__aenter__())

    def do(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Run one call to its end."""
        return self._loop.run(call)

    async def at_the_end(self) -> None:
        """Check what has to hold when no further step comes."""

    def teardown(self) -> None:
        """Make the last checks, and delete all keys of this run."""
        try:
            self.do(self.at_the_end())
        finally:
            self.do(self.clean())
            self._loop.close()

    async def clean(self) -> None:
        """Delete all keys of this run."""
        keys = [key async for key in self.broker.client.scan_iter(match=f"{self.broker.keys.namespace}:*", count=1000)]
        if keys:
            await self.broker.client.delete(*keys)
        await self._opened.__aexit__(None, None, None)
