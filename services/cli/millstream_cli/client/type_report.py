"""Prints a job type for people: its options, what it takes and what it gives."""

from collections.abc import Iterable, Iterator

import click

from millstream_cli.client.schema_outline import outline
from millstream_cli.wording import lasting, printable
from millstream_contracts import Backoff, TypePolicy, TypeRegistration


def print_type(one: TypeRegistration, more: Iterable[tuple[str, str]] = ()) -> None:
    """Print a job type; `more` are further facts, each with its label."""
    for label, text in (*_facts(one), *more):
        click.echo(f"{label:>12}  {printable(text)}")
    for title, schema in (("payload", one.payload_schema), ("result", one.result_schema)):
        if schema:
            click.echo(f"\n{title}")
            for line in outline(schema):
                click.echo(f"  {printable(line)}")


def timeout_of(one: TypeRegistration) -> str:
    """Return the timeout of a type as people read it."""
    return "none" if one.policy.timeout_s is None else lasting(one.policy.timeout_s)


def _facts(one: TypeRegistration) -> Iterator[tuple[str, str]]:
    policy = one.policy
    yield "type", one.type
    yield "description", one.description or "none"
    yield "handler", one.handler
    yield "attempts", str(policy.max_attempts)
    if policy.delays_s:
        yield "delays", ", ".join(map(lasting, policy.delays_s))
    else:
        yield "backoff", _backoff(policy.backoff)
    if policy.on_dead:
        yield "on dead", policy.on_dead
    yield "timeout", timeout_of(one)
    yield "result kept", lasting(policy.result_ttl_s)
    if policy.partitions > 1:
        yield "partitions", str(policy.partitions)
    if policy.key is not None:
        yield "key", f"{policy.key} of the payload"
    yield from _storing(policy)
    if policy.gathers:
        yield "called for", f"up to {policy.gathers.size:,} jobs, gathered for up to {lasting(policy.gathers.wait_s)}"
    if one.code_version:
        yield "version", one.code_version


def _storing(policy: TypePolicy) -> Iterator[tuple[str, str]]:
    """Yield how what its jobs carry is stored, where that is not as for most types."""
    if policy.encrypted:
        yield "stored", "encrypted"
    if not policy.compress:
        yield "compressed", "never"
    if policy.logs != "failed":
        yield "log lines kept", {"all": "of all attempts", "none": "of none"}[policy.logs]
    if policy.keeps != "everything":
        yield "history keeps", policy.keeps.replace("_", " ")


def _backoff(backoff: Backoff) -> str:
    jitter = "random up to this" if backoff.jitter else "without jitter"
    return f"{backoff.kind}, from {lasting(backoff.base_s)} up to {lasting(backoff.cap_s)}, {jitter}"
