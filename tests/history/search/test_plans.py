"""PostgreSQL carries the statements of a search out by the indexes that were made for them."""

from collections.abc import Iterator
from typing import Any

import pytest
from history.search.crowd import BEGIN, EMPTY_DAY, NOW, TYPES

from millstream_contracts import DEFAULT_TENANT
from millstream_history.connection.database import open_engine, transaction
from millstream_history.connection.reading import Reader
from millstream_history.search.paging.index_finder import find_indexes
from millstream_history.search.paging.page_finder import PageFinder
from millstream_history.search.paging.places import Way
from millstream_history.search.paging.timed_session import Record, TimedSession
from millstream_history.search.plan import JobQuery, plan_of
from millstream_history.search.searcher import Search
from millstream_history.search.statement import Statement

LONG_S = 30.0
SETTINGS = {"statement_timeout": "0", "plan_cache_mode": "auto", "transaction_read_only": "off", "jit": "on"}


class ExplainedSession(TimedSession):
    """A session that keeps the plan of each statement."""

    plans: list[dict[str, Any]]

    async def fetch(self, sql: str, statement: Statement, within_s: float) -> list[Record]:
        """Explain the statement, and run it."""
        [[explained]] = await super().fetch(f"EXPLAIN (FORMAT JSON) {sql}", statement, within_s)
        self.plans.append(explained[0]["Plan"])
        return await super().fetch(sql, statement, within_s)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a plan."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def explained(url: str, q: str, way: Way | None = None) -> list[dict[str, Any]]:
    """Return the nodes of all statements of the first page of a search, found in this way at first."""
    plan = plan_of(JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q=q), TYPES)
    async with open_engine(url) as engine:
        async with transaction(engine) as connection, TimedSession(connection, LONG_S) as looking:
            indexes = await find_indexes(looking)
        async with transaction(engine) as connection, ExplainedSession(connection, LONG_S) as session:
            session.plans = []
            await PageFinder(session, plan, limit=50, indexes=indexes).find(None, way)
    return [node for one in session.plans for node in nodes(one)]


def index_names(found: list[dict[str, Any]]) -> str:
    """Return the names of the indexes that are read, and the columns in them."""
    return " ".join(node["Index Name"] for node in found if "Index Name" in node)


@pytest.mark.parametrize(
    ("q", "way", "index"),
    [
        ("", None, "tenant_created_at"),
        ("type:sms.send", None, "tenant_type_created_at"),
        ("type:email.*", None, "tenant_type_created_at"),
        ("state:dead", None, "tenant_outcome_created_at"),
        ("state:dead,expired type:sms.send", None, "tenant_type_outcome_created_at"),
        ("fingerprint:f3", None, "tenant_fingerprint_created_at"),
        ("workflow:wf_1", None, "tenant_workflow_id_created_at"),
        (f"trace:{17:032x}", None, "trace_id"),
        ("payload.user.id:424242", Way.INDEX, "payload"),
        ("type:sms.send payload.user.id:424242", Way.INDEX, "payload"),
        ("tag.customer:c999", Way.INDEX, "tags"),
        ('"order 19999"', Way.INDEX, "error_text"),
    ],
)
async def test_each_kind_of_search_reads_its_index(crowded, q, way, index):
    """A search by keys or by an index without order reads that, and no partition from its beginning to its end."""
    found = await explained(crowded.url, q, way)
    assert index in index_names(found)
    scanned = {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"}
    # An empty table is read as soon as its index.
    assert {name for name in scanned if name.startswith(f"jobs_{BEGIN:%Y%m}")} <= {f"jobs_{EMPTY_DAY:%Y%m%d}"}


async def test_no_statement_gets_a_generic_plan(crowded):
    """Statements are planned for their values however often they run, because a generic plan reads a whole index."""
    queries = ["payload.user.id:777", "type:sms.send", "mail7.example", "tag.customer:c9"]
    async with open_engine(crowded.url, connections=1) as engine:
        search = Search(Reader(engine))
        for q in queries * 8:
            await search.page(JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q=q), known_types=TYPES, budget_s=LONG_S)
        async with transaction(engine) as connection:
            rows = await connection.exec_driver_sql("SELECT * FROM pg_prepared_statements")
            plans = [row for row in rows.all() if "FROM jobs" in row.statement]
    assert [row.statement for row in plans if row.generic_plans] == []
    assert max(row.custom_plans for row in plans) > 5


async def test_a_connection_is_as_it_was_after_a_search(crowded):
    """What a search sets for its transaction holds no longer than that, also when its time was over."""
    async with open_engine(crowded.url, connections=1) as engine:
        search = Search(Reader(engine))
        for budget_s in (LONG_S, 0.001):
            await search.page(JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q="worker:web-7"), budget_s=budget_s)
            async with transaction(engine) as connection:
                for name, value in (
                    ("statement_timeout", "0"),
                    ("plan_cache_mode", "auto"),
                    ("transaction_read_only", "off"),
                ):
                    found = (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()
                    assert (name, found) == (name, value)
