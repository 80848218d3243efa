"""Waits until services say on `/readyz` that they are ready."""

from collections.abc import Sequence

import anyio
import httpx2

from millstream_cli.errors import NotReadyError
from millstream_contracts import one_line

_ASK_EVERY_S = 0.05
_ANSWER_S = 5.0


async def wait_until_ready(urls: Sequence[str], *, timeout_s: float) -> None:
    """Ask each address until every one has answered 200.

    Raises: NotReadyError, with the last answer of those that did not.
    """
    pending = dict.fromkeys(urls, "not asked yet")
    # Without the proxies of the environment: the services are on this machine.
    async with httpx2.AsyncClient(trust_env=False, timeout=_ANSWER_S) as client:
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as tasks:
                for url in urls:
                    tasks.start_soon(_ask_until_ready, client, url, pending)
    if pending:
        raise NotReadyError([f"{url}: {answer}" for url, answer in pending.items()], timeout_s)


async def _ask_until_ready(client: httpx2.AsyncClient, url: str, pending: dict[str, str]) -> None:
    while url in pending:
        try:
            answer = await client.get(url)
        except httpx2.HTTPError as error:
            pending[url] = str(error) or type(error).__name__
        else:
            pending[url] = one_line(f"{answer.status_code} {answer.text}")
            if answer.status_code == httpx2.codes.OK:
                del pending[url]
        await anyio.sleep(_ASK_EVERY_S)
