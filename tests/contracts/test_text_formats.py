"""Ingest validates the formats of texts that workers read."""

import pytest

from millstream_contracts import TEXT_FORMATS

TEXTS = {
    "date-time": (
        ["2026-11-26T10:00:00Z", "2026-11-26 10:00:00.5+01:00"],
        ["2026-11-26T10:00:00", "now"],
    ),
    "date-time-local": (["2026-11-26T10:00:00"], ["2026-11-26T10:00:00Z", "2026-11-26T24:00:00"]),
    "time": (["10:00:00Z", "00:00:00+00:00"], ["10:00:00", "10:00Z"]),
    "time-local": (["00:00:00", "10:00:00.5"], ["10:00:00Z", "24:00:00"]),
    "date": (["0001-01-01", "2024-02-29"], ["0000-01-01", "2026-02-29", "2026-1-1", ""]),
    "duration": (["PT0S", "-P1D", "P1DT1M"], ["P", "P1Y", "P1W", "PT", "1s"]),
    "uuid": (["12345678-1234-5678-1234-567812345678"], ["12345678-1234-5678-1234-56781234567", "urn:uuid:"]),
    "decimal": (["0", "-1.50", "1e5"], ["NaN", "-Infinity", "sNaN", "1,5", "", "1e9999999999999999999"]),
}


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_format_is_that_of_what_can_be_read(name: str) -> None:
    """A text has a format if it can be decoded, with a zone or without one as the format says."""
    right, wrong = TEXTS[name]
    assert [TEXT_FORMATS[name](text) for text in right] == [True] * len(right)
    assert [TEXT_FORMATS[name](text) for text in wrong] == [False] * len(wrong)
