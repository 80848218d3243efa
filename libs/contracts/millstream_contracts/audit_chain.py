"""The chain of the audit trail: how a record is hashed, and what shows that one was altered, removed or inserted.

It works on records as JSON values and not as Structs, so that a client of an older release finds a record whole that
has fields which it does not know.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from millstream_contracts.audit import AuditChain, AuditEntry, AuditFault, AuditLink, AuditRecord, AuditVerification

MAX_AUDIT_FAULTS = 100
"""Faults that a verification lists; a chain that was rewritten has one at each record."""


def chained(entry: AuditEntry, before: AuditLink | None) -> AuditRecord:
    """Return the record of an entry behind another one; None begins a chain."""
    fields: dict[str, Any] = {name: getattr(entry, name) for name in entry.__struct_fields__}
    seq, previous = (before.seq + 1, before.hash) if before else (1, "")
    unhashed = AuditRecord(**fields, seq=seq, previous=previous, hash="")
    return msgspec.structs.replace(unhashed, hash=audit_hash(msgspec.to_builtins(unhashed)))


def audit_hash(record: Mapping[str, Any]) -> str:
    """Return the hash of a record, given as JSON values; what it says of its hash is left out."""
    hashed = {name: value for name, value in record.items() if name != "hash"}
    return hashlib.sha256(msgspec.json.encode(hashed, order="sorted")).hexdigest()


class ChainChecker:
    """Checks the records of a chain, given in their order."""

    def __init__(self, chain: AuditChain, known: AuditLink | None = None) -> None:
        """Take the ends of the chain, and a record that was kept elsewhere."""
        self._chain = chain
        self._known = [link for link in (chain.head, chain.last, known) if link]
        self._last: AuditLink | None = chain.cut
        self._records = 0
        self._faults: list[AuditFault] = []

    def check(self, record: Mapping[str, Any]) -> None:
        """Check the next record."""
        self._records += 1
        seq, told, previous = record.get("seq"), record.get("hash"), record.get("previous")
        if not isinstance(seq, int) or not isinstance(told, str):
            self._note(self._next_seq, "the record has no number or no hash")
            return
        if seq != self._next_seq:
            self._note(seq, self._gap(seq))
        elif previous != (self._last.hash if self._last else ""):
            self._note(seq, "it does not continue the record before, which is another than when this was stored")
        if told != audit_hash(record):
            self._note(seq, "it was altered: its hash is not that of its fields")
        for link in self._known:
            if link.seq == seq and link.hash != told:
                self._note(seq, "it is another record than the one that is known by this number")
        self._last = AuditLink(seq=seq, hash=told)

    def result(self) -> AuditVerification:
        """Return what was found, once the last record was checked."""
        reached = self._last.seq if self._last else 0
        latest = max((link.seq for link in self._known), default=0)
        if latest > reached:
            self._note(latest, f"the records {reached + 1} to {latest} are missing at the end")
        return AuditVerification(records=self._records, last=self._last, faults=self._faults)

    @property
    def _next_seq(self) -> int:
        return self._last.seq + 1 if self._last else 1

    def _gap(self, seq: int) -> str:
        wanted = self._next_seq
        if seq < wanted:
            return f"a second record has this number, or one was inserted: {wanted} was due"
        return f"the record {wanted} is missing" if seq == wanted + 1 else f"{wanted} to {seq - 1} are missing"

    def _note(self, seq: int, detail: str) -> None:
        if len(self._faults) < MAX_AUDIT_FAULTS:
            self._faults.append(AuditFault(seq=seq, detail=detail))
