"""Capture times of archives, in every form that real ones have."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# 2015-07-01, 2015-07-01T00:00:00Z, 2015-07-01T00:00:00.123456789Z, 20150701000000, 2015070100: fields from the year
# on, with or without separators, as far as they go.
_FIELDS = re.compile(
    r"\s*(\d{4})-?(\d\d)(?:-?(\d\d)(?:[T ]?(\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?)?)?"
    r"\s*(?:Z|UTC|([+-])(\d\d):?(\d\d))?\s*",
    re.ASCII | re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def archive_time(text: str) -> int | None:
    """Time of a WARC-Date or an ARC date, in microseconds since 1970 UTC; None where it is not one.

    Fewer digits than 14 mean the start of the period, digits below the microsecond are cut, and a missing zone is UTC.
    """
    match = _FIELDS.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    micro = int(fraction.ljust(6, "0")[:6]) if fraction else 0
    try:
        moment = datetime(
            int(year), int(month), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), micro, UTC
        )
    except ValueError:
        return None
    if sign:
        zone = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
        try:
            moment = moment - zone if sign == "+" else moment + zone
        except OverflowError:
            return None
    return (moment - _EPOCH) // _MICROSECOND


def http_time(text: str | None) -> int | None:
    """Time of an HTTP Date header, in microseconds since 1970 UTC; None where it is not one."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
