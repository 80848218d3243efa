"""Where handlers run: docs/handlers/threads-and-processes.md.

Run the system with `millstream up threads_and_processes:app` in this folder, and then
`python threads_and_processes.py`.
"""

import asyncio
import threading

from millstream import App, Client

app = App("numbers")


@app.job("number.fetch")
async def fetch(number: int) -> str:
    """Wait for something: on the event loop, beside hundreds of others."""
    await asyncio.sleep(0.01)
    return f"{number} on the loop"


@app.job("number.read")
def read(number: int) -> str:
    """Call a library that blocks: in a thread."""
    is_thread = threading.current_thread() is not threading.main_thread()
    return f"{number} {'in a thread' if is_thread else 'in the main thread'}"


@app.job("number.factor", isolation="process", timeout=20)
def factor(number: int) -> list[int]:
    """Compute: in a process of its own, which a timeout can kill wherever it is."""
    factors: list[int] = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


async def main(client: Client) -> list[object]:
    """Run a handler of each kind."""
    told: list[object] = [
        await (await client.submit(fetch, 7)).result(timeout=30),
        await (await client.submit(read, 7)).result(timeout=30),
        await (await client.submit(factor, 1_234_567)).result(timeout=60),
    ]
    print(told)
    return told


async def run() -> None:
    """Run this page's program against a system on this machine."""
    async with Client("http://127.0.0.1:8080") as client:
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
