from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.pipeline.read.dates import archive_time, http_time

NOON = 1_430_481_600_000_000  # 2015-05-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2015-05-01T12:00:00Z", NOON),
        ("2015-05-01T12:00:00", NOON),
        (" 2015-05-01 12:00:00 ", NOON),
        ("2015-05-01T12:00:00.123456Z", NOON + 123_456),
        ("2015-05-01T12:00:00.123456789Z", NOON + 123_456),
        ("2015-05-01T12:00:00.5Z", NOON + 500_000),
        ("20150501120000", NOON),
        ("2015050112", NOON),
        ("201505011200", NOON),
        ("2015-05-01T12Z", NOON),
        ("2015-05-01T14:00:00+02:00", NOON),
        ("2015-05-01T07:00:00-0500", NOON),
        ("20150501", NOON - 12 * 3600 * 1_000_000),
        ("2015-05", NOON - 12 * 3600 * 1_000_000),
    ],
)
def test_every_form_of_a_capture_time(text: str, time: int):
    assert archive_time(text) == time


@pytest.mark.parametrize(
    "text",
    ["", "-", "2015", "2015-13-01T00:00:00Z", "20150231000000", "0a3f", "yesterday", "2015-05-01T25:00:00Z", "٢٠١٥-٠٥"],
)
def test_what_is_no_time_is_none(text: str):
    assert archive_time(text) is None


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 30)))
def test_a_written_time_is_read_to_the_microsecond(moment: datetime):
    wanted = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert archive_time(f"{moment:%Y}".zfill(4) + f"{moment:-%m-%dT%H:%M:%S.%f}Z") == wanted


@given(st.text(max_size=40))
def test_no_text_raises(text: str):
    archive_time(text)
    http_time(text)


def test_http_dates():
    assert http_time("Fri, 01 May 2015 12:00:00 GMT") == NOON
    assert http_time("Fri, 01 May 2015 14:00:00 +0200") == NOON
    assert http_time(None) is None
    assert http_time("soon") is None
