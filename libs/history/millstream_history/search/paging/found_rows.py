"""Reads the rows of jobs that were found, whatever the statement makes of them."""

from collections.abc import Sequence

from millstream_contracts import Tenant
from millstream_history.search.paging.places import FoundId
from millstream_history.search.statement import Statement


def rows_of_ids(statement: Statement, tenant: Tenant, ids: Sequence[FoundId]) -> str:
    """Return what follows FROM in a statement about the jobs of these ids, which are one at least, with its WHERE."""
    moments = [one.created_at for one in ids]
    times, names = statement.bind(moments), statement.bind([one.id for one in ids])
    # The range says which partitions are not even to be planned for.
    newest, oldest = statement.bind(max(moments)), statement.bind(min(moments))
    return (
        f"unnest({times}::timestamptz[], {names}::text[]) AS wanted(at, id) "
        f"JOIN jobs ON jobs.created_at = wanted.at AND jobs.id = wanted.id AND jobs.tenant = {statement.bind(tenant)} "
        f"WHERE jobs.created_at >= {oldest} AND jobs.created_at <= {newest}"
    )
