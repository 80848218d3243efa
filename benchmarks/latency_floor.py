"""The least time from submission to handler: redis-py in a process, woken by a blocking read of a stream.

Run as `python latency_floor.py COUNT`, with Redis by MILLSTREAM_REDIS_URL. Each entry contains its time of sending; the
program prints the latencies in ms as JSON.
"""

import json
import os
import sys
import time

import uvloop
from redis.asyncio import Redis

STREAM, GROUP_NAME, READY = "floor", "floor", "floor:ready"
SENT = b"sent"


async def main() -> None:
    """Read this number of entries, one at a time."""
    took: list[float] = []
    async with Redis.from_url(os.environ["MILLSTREAM_REDIS_URL"], protocol=2, socket_timeout=None) as client:
        await client.xgroup_create(STREAM, GROUP_NAME, id="0", mkstream=True)
        await client.set(READY, "1")
        while len(took) < int(sys.argv[1]):
            reply = await client.xreadgroup(GROUP_NAME, "reader", {STREAM: ">"}, count=1, block=5_000)
            for _, entries in reply:
                now = time.time_ns()
                took += [(now - int(fields[SENT])) / 1e6 for _, fields in entries]
    print(json.dumps(took))


if __name__ == "__main__":
    uvloop.run(main())
