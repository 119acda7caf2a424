"""Points in time: RFC 3339, and the shorter forms people write. Without an offset they are UTC."""

import re
from datetime import UTC, datetime, timedelta, timezone

_FORM = re.compile(
    r"\s*(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[Tt ](?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:\.(?P<fraction>\d+))?)?"
    r"\s?(?:[Zz]|UTC|(?P<sign>[+-])(?P<hours>\d{2})(?::?(?P<minutes>\d{2}))?)?)?\s*",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(text: str) -> int | None:
    """Microseconds since 1970, finer digits cut off; None for what is no time."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict(default="0")
    second, fraction = int(part["second"]), int(part["fraction"][:6].ljust(6, "0"))
    if second == 60:  # a leap second: the last moment before the next minute
        second, fraction = 59, 999_999
    offset = timedelta(hours=int(part["hours"]), minutes=int(part["minutes"]))
    try:
        zone = UTC if not offset else timezone(-offset if part["sign"] == "-" else offset)
        moment = datetime(
            int(part["year"]), int(part["month"]), int(part["day"]), int(part["hour"]), int(part["minute"]), second,
            fraction, zone,
        )  # fmt: skip
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None
