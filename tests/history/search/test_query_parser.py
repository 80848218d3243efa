"""The query language says what a query means, or at which place it means nothing."""

from datetime import UTC, datetime

import pytest

from millstream_contracts import DEFAULT_TENANT
from millstream_history.errors import QueryError
from millstream_history.search.language.fields import ALIASES, FIELDS
from millstream_history.search.language.query_parser import MAX_QUERY_CHARS, parse_query
from millstream_history.search.plan import JobQuery, Plan, plan_of
from millstream_history.search.statement import Statement

NOW = datetime(2026, 11, 27, 9, 30, 15, 123_000, tzinfo=UTC)
TODAY = datetime(2026, 11, 27, tzinfo=UTC)
TYPES = ("email.send", "email.bounce", "sms.send")
ID = "email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"
OTHER_ID = "sms.send_0001JD3YQ8Z8B1C9QW2N6KFH3RTE"


def plan(q: str, known_types=TYPES, **fields) -> Plan:
    """Return the plan of a query."""
    return plan_of(JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q=q, **fields), known_types)


def conditions(q: str) -> list[tuple[str, tuple]]:
    """Return the filters of a query, each with its parameters and the index that helps."""
    return [(one.fragment.sql, one.fragment.parameters, one.index) for one in plan(q).filters]


def keys(q: str) -> dict[str, tuple[str, ...]]:
    """Return the keys of a query."""
    return {key.column: key.values for key in plan(q).keys}


def error(q: str) -> QueryError:
    """Return the error of a query, which must be refused."""
    with pytest.raises(QueryError) as caught:
        plan(q)
    return caught.value


@pytest.mark.parametrize(
    ("q", "column", "values"),
    [
        ("type:email.send", "type", ("email.send",)),
        ("queue:email.send task=sms.send", "type", ("email.send",)),
        ("type:email.*", "type", ("email.send", "email.bounce")),
        ("type:sms.send,email.*", "type", ("sms.send", "email.send", "email.bounce")),
        ("state:dead,expired", "outcome", ("dead", "expired")),
        ("status:unknown", "outcome", ("unknown",)),
        ("fingerprint:5f1c2d,ab", "fingerprint", ("5f1c2d", "ab")),
        ("workflow:wf_1", "workflow_id", ("wf_1",)),
        ("batch:BA_1", "workflow_id", ("BA_1",)),
        (f"trace:{'ab' * 16}", "trace_id", ("ab" * 16,)),
        (f"id:{ID}", "id", (ID,)),
        (f"{ID}", "id", (ID,)),
        (f'"{ID}"', "id", (ID,)),
    ],
)
def test_a_key_is_found_in_the_order_of_time(q, column, values):
    """Terms that an index serves in the order of time are keys."""
    assert keys(q)[column] == values


@pytest.mark.parametrize(
    ("q", "sql", "parameters", "index"),
    [
        ("payload.user.id:42", "payload @@ {}::jsonpath", ('$."user"."id" == "42" || $."user"."id" == 42',), "payload"),
        ('args.user.id:"42"', "payload @@ {}::jsonpath", ('$."user"."id" == "42"',), "payload"),
        ("data.ok:true", "payload @@ {}::jsonpath", ('$."ok" == "true" || $."ok" == true',), "payload"),
        ("payload.n:1,a", "payload @@ {}::jsonpath", ('$."n" == "1" || $."n" == 1 || $."n" == "a"',), "payload"),
        ("payload.n:>5", "payload @@ {}::jsonpath", ('$."n" > 5',), None),
        ("payload.n>=-5.5", "payload @@ {}::jsonpath", ('$."n" >= -5.5',), None),
        ("payload.n:1..5", "payload @@ {}::jsonpath", ('exists($."n" ? (@ >= 1 && @ <= 5))',), None),
        ("payload.n:1..", "payload @@ {}::jsonpath", ('exists($."n" ? (@ >= 1))',), None),
        ("payload.n:a..b", "payload @@ {}::jsonpath", ('$."n" == "a..b"',), "payload"),
        ("payload.n:ab*", "payload @@ {}::jsonpath", ('$."n" starts with "ab"',), None),
        ("payload.n:*", "payload @? {}::jsonpath", ('$."n"',), None),
        ('payload."a b"."c\\"d":x', "payload @@ {}::jsonpath", ('$."a b"."c\\"d" == "x"',), "payload"),
        ("result.ref:x", "result @@ {}::jsonpath", ('$."ref" == "x"',), None),
        ("tag.customer:c1", "tags @> {}::jsonb", ('{"customer":"c1"}',), "tags"),
        ("tags.a.b:c", "tags @> {}::jsonb", ('{"a.b":"c"}',), "tags"),
        ("tag.c:a,b", "(tags @> {}::jsonb OR tags @> {}::jsonb)", ('{"c":"a"}', '{"c":"b"}'), "tags"),
        ("tag.c:a*", "tags->>{}::text LIKE ANY({}::text[])", ("c", ["a%"]), None),
        ("tag.c:*", "tags ? {}::text", ("c",), None),
        ("refused", "error_text ILIKE {}::text", ("%refused%",), "error_text"),
        ('error:"50%_a"', "error_text ILIKE {}::text", ("%50\\%\\_a%",), None),
        ("error:mail*example", "error_text ILIKE {}::text", ("%mail%example%",), "error_text"),
        ("reason:attempts", "reason ILIKE {}::text", ("%attempts%",), None),
        ("-worker:w1", "(worker = ANY({}::text[])) IS NOT TRUE", (["w1"],), None),
        ("worker!=w1", "(worker = ANY({}::text[])) IS NOT TRUE", (["w1"],), None),
        ("NOT worker:w*1", "(worker LIKE ANY({}::text[])) IS NOT TRUE", (["w%1"],), None),
        ("-worker!=w1", "worker = ANY({}::text[])", (["w1"],), None),
        ("error.type:shop.MailError", "error->>'type' = ANY({}::text[])", (["shop.MailError"],), None),
        (
            "error.type:MailError",
            "(error->>'type' = ANY({}::text[]) OR error->>'type' LIKE ANY({}::text[]))",
            (["MailError"], ["%.MailError"]),
            None,
        ),
        ("attempts:>2", "(attempts >= {}::bigint)", (3,), None),
        ("attempts:2", "(attempts >= {}::bigint AND attempts < {}::bigint)", (2, 3), None),
        ("crashes:..2", "(crashes < {}::bigint)", (3,), None),
        ("run:>5s", "(ran_ms >= {}::bigint)", (6000,), None),
        ("run>=1.5s", "(ran_ms >= {}::bigint)", (1500,), None),
        ("wait:1m..5m", "(waited_ms >= {}::bigint AND waited_ms < {}::bigint)", (60_000, 360_000), None),
        ("has:error,tags", "(error_text IS NOT NULL OR tags IS NOT NULL)", (), None),
        ("priority:high,low", "priority = ANY({}::text[])", (["high", "low"],), None),
        ("finished:>=today", "(finished_at >= {}::timestamptz)", (TODAY,), None),
        ("fingerprint:5f*", "fingerprint LIKE ANY({}::text[])", (["5f%"],), None),
        ("type!=sms.send", "type <> ALL({}::text[])", (["sms.send"],), None),
    ],
)  # fmt: skip
def test_a_term_is_a_condition_with_bound_parameters(q, sql, parameters, index):
    """Each kind of term has one condition, whose values are parameters, and an index where one helps."""
    assert conditions(q) == [(sql, parameters, index)]


@pytest.mark.parametrize(
    ("q", "begin", "end"),
    [
        ("since:1h", NOW.replace(hour=8), None),
        ("since:today", TODAY, None),
        ("since:yesterday until:yesterday", TODAY.replace(day=26), TODAY),
        ("created:2026-11", TODAY.replace(day=1), TODAY.replace(month=12, day=1)),
        ("created:2026-11-01..2026-11-07", TODAY.replace(day=1), TODAY.replace(day=8)),
        ("created:2026-11-01..", TODAY.replace(day=1), None),
        ("created:>=2026-11-26T12:00Z", TODAY.replace(day=26, hour=12), None),
        ("created<2026-11-26T14:00+02:00", None, TODAY.replace(day=26, hour=12)),
        ("since:2d since:1d until:now", NOW.replace(day=26), NOW.replace(microsecond=124_000)),
    ],
)
def test_a_range_of_creation_times_is_no_filter(q, begin, end):
    """Conditions on the creation time narrow the range that is searched; several narrow it together."""
    found = plan(q)
    assert (found.begin, found.end) == (begin or datetime(1970, 1, 1, tzinfo=UTC), end)
    assert not found.filters


def test_ids_narrow_the_range_to_their_times():
    """Ids say when they were made, so only their days are searched."""
    found = plan(f"id:{ID},{OTHER_ID}")
    assert found.end is not None
    assert (found.end - found.begin).total_seconds() < 10


@pytest.mark.parametrize(
    ("q", "position", "end", "detail", "hint"),
    [
        ("state:failed", 6, 12, "there is no state `failed`", "did you mean `dead`?"),
        ("refused state:dea", 14, 17, "there is no state `dea`", "did you mean `dead`?"),
        ("state:dead,succed_", 11, 18, "there is no state `succed_`", "did you mean `succeeded`?"),
        ("stat:dead", 0, 4, "there is no field `stat`", "did you mean `state`?"),
        ("user.id:4", 0, 7, "there is no field `user.id`", "payload.user.id"),
        ("http://x", 0, 4, "there is no field `http`", "goes in quotes"),
        ("payload:4", 0, 7, "`payload` needs a key", "payload.user.id:42"),
        ("(state:dead)", 0, 1, "parentheses are not supported", "state:dead,expired"),
        ("state:dead OR state:expired", 11, 13, "`OR` is not supported", "state:dead,expired"),
        ("state:dead NOT", 11, 14, "`NOT` has nothing after it", ""),
        ("state:", 6, 7, "a value is missing", ""),
        ("state:dead,", 11, 12, "a value is missing", ""),
        ('error:"a b', 6, 10, "a quote is not closed", ""),
        ('abc"d"', 3, 4, "a space is missing before it", ""),
        ("ab", 0, 2, "text has at least 3 characters", "field:value"),
        ("error:ab", 6, 8, "text has at least 3 characters", ""),
        ("attempts:x", 9, 10, "`x` is no whole number", ""),
        ("attempts:99999999999", 9, 20, "is no whole number", ""),
        ("run:5", 4, 5, "`5` is no length of time", "500ms"),
        ("run:999999w", 4, 11, "ten years", ""),
        ("since:x", 6, 7, "`x` is no time", "2026-11-01"),
        ("since:9999-12-31..", 6, 18, "is no time", ""),
        ("created:2026-11-07..2026-11-01", 8, 30, "the range is empty", ""),
        ("created:..", 8, 10, "a range needs a bound", ""),
        ("-since:1h", 0, 9, "`since` is written since:1h", ""),
        ("type>a", 0, 6, "`type` cannot be compared by `>`", ""),
        ("worker>a", 0, 8, "`worker` cannot be compared by `>`", "worker:web-7*"),
        ("attempts:>1,2", 12, 13, "`attempts` has one value, or a range", ""),
        ("payload.n:>a", 11, 12, "`a` is no number", ""),
        ("payload.n:a*b", 10, 13, "takes a `*` at its end only", ""),
        ("trace:*a", 6, 8, "takes a `*` at its end only", ""),
        ("id:foo", 3, 6, "`foo` is no job id", "id:email.send_00*"),
        ("has:wings", 4, 9, "there is no `has` `wings`", "error, result, tags, workflow, batch"),
        ("priority:hi", 9, 11, "there is no priority `hi`", ""),
        ("a:\x00", 2, 3, "a control character", ""),
        ("tag.a:\ud83d", 6, 7, "half of a surrogate pair", ""),
        ("x" * (MAX_QUERY_CHARS + 1), 1000, 1001, "longer than 1,000 characters", ""),
        ("has:error " * 21, 200, 210, "more than 20 conditions", ""),
        ("type:" + ",".join(["a"] * 51), 105, 106, "at most 50 values", ""),
        ("tag.a:" + "x" * 257, 6, 263, "at most 256 characters", ""),
        ("payload" + ".a" * 9 + ":1", 0, 25, "at most 8 keys", ""),
        ('payload."' + "k" * 257 + '":1', 0, 267, "at most 256 characters", ""),
    ],
)
def test_an_error_says_where_and_what_may_be_meant(q, position, end, detail, hint):
    """A query without meaning is refused with the place of the fault, and with what may be meant where that is near."""
    found = error(q)
    assert detail in found.detail
    assert hint in found.hint
    assert (found.position, found.end) == (position, end)


def test_every_field_has_an_example_that_means_something():
    """The example of each field, and each other name of a field, can be searched for."""
    for field in FIELDS.values():
        assert plan(field.example)
        assert parse_query(field.example)[0].field is field
    assert set(ALIASES.values()) <= FIELDS.keys()


def test_a_type_that_no_worker_has_is_searched_for_and_told():
    """A pattern of types that fits none finds nothing and says so; a name is searched for, for its jobs may be old."""
    found = plan("type:emial.*")
    assert (found.is_empty, found.hint) == (True, "no known job type fits `emial.*`")
    found = plan("type:email.sned")
    assert (found.is_empty, found.hint) == (False, "no known job type is `email.sned`; did you mean `email.send`?")


def test_without_the_known_types_each_job_is_compared():
    """Where the types of the tenant are not known, a pattern of types is a filter."""
    [found] = plan("type:email.*,sms.send", known_types=None).filters
    assert found.fragment.parameters == (["sms.send", "email.%"],)


def test_what_an_index_cannot_combine_is_filtered():
    """A second key on one column is a filter, as is a trace id beside another condition."""
    found = plan("type:email.send type:email.*")
    assert [key.values for key in found.keys] == [("email.send",)]
    assert len(found.filters) == 1
    found = plan(f"trace:{'ab' * 16} has:error")
    assert not found.keys
    assert found.is_helped(frozenset({"trace_id"}))


def test_keys_with_too_many_values_are_filtered():
    """Keys that have more values together than a page can ask indexes for are filters."""
    many = ",".join(f"f{n}" for n in range(50))
    found = plan(f"fingerprint:{many} type:email.*,sms.send state:dead,expired")
    assert [key.column for key in found.keys] == ["type", "outcome"]
    assert len(found.filters) == 1


def test_parameters_are_text_and_no_patterns():
    """What stands beside `q` is compared as it is."""
    found = plan("", type="email.*", state="dead", tags={"a": "x*"})
    assert {key.column: key.values for key in found.keys} == {"type": ("email.*",), "outcome": ("dead",)}
    assert found.filters[0].fragment.parameters == ('{"a":"x*"}',)


def test_a_statement_binds_each_value():
    """The text of a statement has names of parameters only."""
    [found] = plan("tag.c:a,b").filters
    statement = Statement()
    assert statement.put(found.fragment) == "(tags @> $1::jsonb OR tags @> $2::jsonb)"
    assert statement.parameters == list(found.fragment.parameters)
