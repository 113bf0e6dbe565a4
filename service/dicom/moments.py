"""The times that images of a stack carry."""

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
#: Acquisition as one value with day and time; an enhanced object says it for each frame.
ACQUIRED: Final = ("FrameAcquisitionDateTime", "AcquisitionDateTime")
DATETIMES: Final = ("AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime")
TIME_PATTERN: Final = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
ZONE_PATTERN: Final = re.compile(r"([+-])(\d{2}):?(\d{2})")


def first_acquired(images: Iterable[Attributes]) -> datetime | None:
    """When the first of the images was acquired, in UTC; None where none of them tells the time of day."""
    return min((moment for each in images if (moment := _acquired(each)) is not None), default=None)


def _acquired(attributes: Attributes) -> datetime | None:
    """When one image was acquired; None where no attribute tells the time of day."""
    whole = [(attributes.text(k)[:8], attributes.text(k)[8:]) for k in ACQUIRED]
    return _told(
        attributes, (*whole, (attributes.text("AcquisitionDate"), attributes.text("AcquisitionTime")))
    )


def series_began(attributes: Attributes) -> datetime | None:
    """SeriesDate and SeriesTime in UTC, None where they tell no time of day."""
    return _told(attributes, ((attributes.text("SeriesDate"), attributes.text("SeriesTime")),))


def _told(attributes: Attributes, texts: Iterable[tuple[str, str]]) -> datetime | None:
    """The first of these days and times of day whose time makes sense.

    A day that is missing is that of the study, or else a fixed one: where dates were taken out, the times
    of day still tell two acquisitions apart.
    """
    zone = _zone(attributes.text("TimezoneOffsetFromUTC"))
    fixed = f"{NO_TIME:%Y%m%d}"
    for day, clock in texts:
        if TIME_PATTERN.match(clock):
            days = (day, attributes.text("StudyDate"), fixed)
            return _moment(next(text for text in days if parse_date(text)), clock, zone)
    return None


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
