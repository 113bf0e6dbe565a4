"""The newest time that images of a stack carry."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Final

from service.dicom.demographics import parse_date
from service.dicom.headers import Attributes

#: Stands where no image has a usable time; any fixed value serves, so that results can be repeated.
NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
PAIRS: Final = (
    ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"),
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)
DATETIMES: Final = ("AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime")
TIME_PATTERN: Final = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
ZONE_PATTERN: Final = re.compile(r"([+-])(\d{2})(\d{2})")


def newest_time(images: Iterable[Attributes]) -> datetime:
    """The newest of all acquisition, content, creation, series and study times, in UTC.

    Times without a zone are read in TimezoneOffsetFromUTC, or as UTC where that is absent.
    """
    newest = NO_TIME
    for attributes in images:
        zone = _zone(attributes.text("TimezoneOffsetFromUTC"))
        texts = [(attributes.text(day), attributes.text(clock)) for day, clock in PAIRS]
        texts += [(attributes.text(k)[:8], attributes.text(k)[8:]) for k in DATETIMES]
        for day_text, clock_text in texts:
            moment = _moment(day_text, clock_text, zone)
            if moment is not None and moment > newest:
                newest = moment
    return newest


def _moment(day_text: str, time_text: str, zone: timezone) -> datetime | None:
    """A date and time of day in UTC; a senseless time of day counts as midnight."""
    day = parse_date(day_text)
    if day is None:
        return None
    suffix = ZONE_PATTERN.search(time_text)
    zone = _zone(suffix[0]) if suffix else zone
    match = TIME_PATTERN.match(time_text)
    hour, minute, second, fraction = match.groups("0") if match else ("0", "0", "0", "0")
    try:
        clock = time(int(hour), int(minute), int(second), int(fraction.ljust(6, "0")))
        moment = datetime.combine(day, clock, tzinfo=zone)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _zone(text: str) -> timezone:
    """TimezoneOffsetFromUTC, such as +0100."""
    match = ZONE_PATTERN.fullmatch(text.strip())
    if not match or int(match[2]) > 14 or int(match[3]) > 59:
        return UTC
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)
