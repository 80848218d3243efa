"""Asks for changes over HTTP under a key, each with a request id by which its audit record is found."""

import random
from typing import Any

import anyio
import httpx2
from chaos.fleet import NO_ANSWER
from chaos.journal import now_ms
from chaos.service import Service
from chaos.stage import Stage
from chaos.tenancy import Change, KeyLife, KeyUse

from millstream_contracts import Tenant

ANSWER_WITHIN_S = 5.0
PAUSE_S = 0.3
UNDECIDED = {0, 429, 500, 503}
"""The statuses after which a change is asked for again; 0 is no response."""


class Asker:
    """One key, and what it asks for."""

    def __init__(self, stage: Stage, http: httpx2.AsyncClient, key: KeyLife) -> None:
        self.key = key
        self._stage = stage
        self._http = http
        self._rng: random.Random = stage.rng

    async def change(self, line: str, body: Any = None) -> httpx2.Response:
        """Ask for a change, such as `POST /v1/keys`, of any ingest, until the answer is certain."""
        changes = self._stage.tenancy.changes
        while True:
            change = Change(f"chaos-{len(changes)}", line, self.key.tenant, now_ms())
            changes.append(change)
            response = await self._send(self._stage.any_of("ingest"), line, body, change.request_id)
            change.status, change.answered_ms = response.status_code if response is not None else 0, now_ms()
            if response is not None and change.status not in UNDECIDED:
                self._stage.expect(change.status != 401, f"the key `{self.key.id}` was refused: {response.text}")
                return response
            await anyio.sleep(PAUSE_S * self._rng.uniform(0.5, 1.5))

    async def use(self, ingest: Service, path: str, job: str = "") -> httpx2.Response | None:
        """Read something, and record how the key was taken. Returns: the response; None without one."""
        at_ms = now_ms()
        response = await self._send(ingest, f"GET {path}", None, "")
        status = response.status_code if response is not None else 0
        self._stage.tenancy.uses.append(KeyUse(self.key.id, at_ms, now_ms(), status, job=job))
        return response

    async def new_key(self, role: str, tenant: Tenant, name: str) -> KeyLife | None:
        """Make a key. Returns: None where that is refused."""
        body = {"name": name, "role": role, "tenant": tenant}
        response = await self.change("POST /v1/keys", body)
        return self.note_key(response) if response.status_code == 201 else None

    def note_key(self, response: httpx2.Response) -> KeyLife:
        """Record the key that a response shows."""
        made = response.json()
        life = KeyLife(made["id"], made["key"], Tenant(made["tenant"]), now_ms())
        self._stage.tenancy.keys[life.id] = life
        return life

    async def _send(self, ingest: Service, line: str, body: Any, request_id: str) -> httpx2.Response | None:
        method, _, path = line.partition(" ")
        named = {"X-Request-Id": request_id} if request_id else {}
        headers = {"Authorization": f"Bearer {self.key.text}", **named}
        try:
            return await self._http.request(method, f"{ingest.url('listening')}{path}", json=body, headers=headers)
        except NO_ANSWER:
            return None
