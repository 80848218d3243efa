"""Negotiation finds the encoding of a request body and of its response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_ingest.http.errors import BodyError
from millstream_ingest.http.negotiation import (
    BatchFormat,
    Encoding,
    batch_format,
    request_encoding,
    response_encoding,
    sent_encoding,
)

JSON, MSGPACK = Encoding.JSON, Encoding.MSGPACK


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json", JSON),
        ("application/vnd.msgpack", MSGPACK),
        ("application/msgpack", MSGPACK),
        ("application/x-msgpack", MSGPACK),
        ("Application/JSON", JSON),
        ("application/json; charset=utf-8", JSON),
        ('application/json;charset="UTF-8"', JSON),
        (" application/json ; version=1 ;", JSON),
        ('application/json; note="a;b,\\"c"', JSON),
    ],
)
def test_content_type_names_the_encoding(content_type, encoding):
    """A content type names the encoding, whatever its case, spaces and neutral parameters."""
    assert request_encoding(content_type) is encoding


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "json",
        "application/",
        "application/json2",
        "application/json, application/json",
        "application/json charset=utf-8",
        "application/json; charset",
        "application/json; charset=latin-1",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/x-ndjson",
        "*/*",
        "x" * 500,
        "application/json; a=" + "x" * 500 + " y",
    ],
)
def test_content_type_is_refused_when_it_is_not_supported(content_type):
    """An unsupported content type is answered with 415 and the supported types."""
    with pytest.raises(BodyError, match=r"application/vnd\.msgpack") as caught:
        request_encoding(content_type)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", (JSON, False)),
        ("application/msgpack", (MSGPACK, False)),
        ("application/x-ndjson; charset=utf-8", (JSON, True)),
        ("application/vnd.msgpack-seq", (MSGPACK, True)),
    ],
)
def test_content_type_of_a_batch_tells_how_it_is_written(content_type, expected):
    """The content type says whether a batch is one object or a sequence."""
    assert batch_format(content_type) == BatchFormat(*expected)


def test_content_type_of_a_batch_is_refused_when_it_is_not_supported():
    """The refusal of a batch's content type names the sequence types too."""
    with pytest.raises(BodyError, match="x-ndjson"):
        batch_format("text/csv")


@pytest.mark.parametrize(
    ("accept", "request_is", "expected"),
    [
        (None, JSON, JSON),
        (None, MSGPACK, MSGPACK),
        ("", MSGPACK, MSGPACK),
        ("*/*", MSGPACK, MSGPACK),
        ("application/*", MSGPACK, MSGPACK),
        ("application/json", MSGPACK, JSON),
        ("application/x-msgpack", JSON, MSGPACK),
        ("application/json, application/msgpack", MSGPACK, MSGPACK),
        ("application/json, application/msgpack", JSON, JSON),
        ("application/json;q=0.5, application/msgpack", JSON, MSGPACK),
        ("application/msgpack;q=0.4, */*;q=0.5", MSGPACK, MSGPACK),
        ("application/json;q=0, */*", JSON, MSGPACK),
        ("application/json;q=0, application/*;q=0.1", JSON, MSGPACK),
        ("APPLICATION/JSON;Q=1.000", MSGPACK, JSON),
        ("application/json;q=0.1, application/json;q=0.9, application/vnd.msgpack;q=0.5", MSGPACK, JSON),
        ("application/json;q=0.9, application/json;q=0.1, application/vnd.msgpack;q=0.5", MSGPACK, JSON),
        ("application/vnd.msgpack;q=0.1, application/x-msgpack;q=0.9, application/json;q=0.5", JSON, MSGPACK),
        ("application/x-msgpack;q=0.9, application/vnd.msgpack;q=0.1, application/json;q=0.5", JSON, MSGPACK),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON, JSON),
        (",, application/json ,", MSGPACK, JSON),
        ("text/html", MSGPACK, JSON),
        ("application/json;q=0", MSGPACK, JSON),
        ("application/msgpack;q=2", MSGPACK, JSON),
        ("*/json", MSGPACK, JSON),
        ("application/msgpack application/json", MSGPACK, JSON),
        ("?", MSGPACK, JSON),
        ("application/msgpack" + ", text/x" * 100, JSON, MSGPACK),
    ],
)
def test_answer_is_in_the_encoding_that_the_client_likes_best(accept, request_is, expected):
    """The most specific range of `Accept` decides, a tie goes to the request's encoding, and no match means JSON."""
    assert response_encoding(accept, request_is) is expected


@pytest.mark.parametrize("parameter", ['x="1,2;q=0"', 'x="application/json"', "charset=utf-8", 'x="a\\"b,c"'])
def test_parameters_of_a_range_change_nothing(parameter):
    """A range with parameters counts as one without, also when a quoted parameter holds separators."""
    assert response_encoding(f"application/msgpack;{parameter};q=0.25, application/json;q=0.2", JSON) is MSGPACK
    assert response_encoding(f"application/msgpack;{parameter};q=0.25, application/json;q=0.3", MSGPACK) is JSON


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json", JSON),
        ("application/x-msgpack; a=b", MSGPACK),
        ("application/x-ndjson", JSON),
        ("application/vnd.msgpack-seq", MSGPACK),
        ("text/plain", JSON),
        ("", JSON),
    ],
)
def test_response_without_a_wish_is_in_the_encoding_that_was_sent(content_type, encoding):
    """Without `Accept` a response is in MessagePack if the request was, and in JSON otherwise."""
    assert sent_encoding(content_type) is encoding


@given(st.text(alphabet='ab/*,;=q01." \t\\x', max_size=60))
def test_headers_are_read_or_refused_when_they_are_random(header):
    """Any header leads to an encoding or to 415."""
    assert response_encoding(header, MSGPACK) in Encoding
    with pytest.raises(BodyError):
        request_encoding(header)
