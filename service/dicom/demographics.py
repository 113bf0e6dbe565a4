"""The person in the images, as far as scores need it, each value with the attribute it came from."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from service.core.series import Person, Sex
from service.dicom.headers import Attributes

#: Nobody older is screened; a larger number is a placeholder or a slip of the pen. Chosen by us.
OLDEST_YEARS: Final = 110.0
#: Dates that anonymisers and registration desks write when they know none.
DUMMY_BIRTH_DATES: Final = {
    "19000101",
    "00000000",
    "00010101",
    "11111111",
    "18000101",
    "18581117",
    "99991231",
}
#: A date of another year is a placeholder or a slip of the pen. Chosen by us: MR is younger than its
#: first century, and the earliest dummy birth dates in use lie in the 19th; far from where dates overflow.
PLAUSIBLE_YEARS: Final = range(1800, 2201)
#: Mean Gregorian year.
DAYS_PER_YEAR: Final = 365.2425
#: PatientAge (PS3.5 6.2, AS), and the spellings found in the wild.
AGE_PATTERN: Final = re.compile(r"0*(\d{1,5}(?:[.,]\d+)?)\s*([DWMYJA]?)(?:RS?|EARS?|AHRE?)?\.?")
YEARS_PER_UNIT: Final = {
    "": 1.0,
    "Y": 1.0,
    "J": 1.0,
    "A": 1.0,
    "M": 1 / 12,
    "W": 7 / DAYS_PER_YEAR,
    "D": 1 / DAYS_PER_YEAR,
}
#: PatientSize is in metres (PS3.3 C.7.2.2); these other units are told by their range.
HEIGHT_UNITS: Final = ((0.5, 2.5, 1.0, "m"), (100.0, 250.0, 100.0, "cm"), (1000.0, 2500.0, 1000.0, "mm"))
#: PatientSex (PS3.3 C.7.1.1) has M, F and O; these words are written too, in English and German.
SEXES: Final[dict[str, Sex]] = {"M": "M", "MALE": "M", "F": "F", "FEMALE": "F", "W": "F"}
#: What images of one person have alike; by the first of them people are told apart.
NAMING: Final = ("PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize")
TOLD_APART: Final = 3
STUDY_DATES: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")


def read_person(attributes: Attributes) -> Person:
    """Age, sex and height where they can be trusted, else None."""
    age, age_source = _age(attributes)
    sex, sex_source = _sex(attributes)
    height, height_source = _height(attributes)
    return Person(
        age_years=age,
        age_source=age_source,
        stated_age_years=parse_age(attributes.text("PatientAge")),
        sex=sex,
        sex_source=sex_source,
        height_m=height,
        height_source=height_source,
    )


def read_people(images: Iterable[Attributes]) -> Person:
    """The person in the images of one stack, as the first says; what others contradict is not known.

    Ages less than a year apart are no contradiction.
    """
    looked: dict[tuple[str, ...], Person] = {}
    for attributes in images:
        named = tuple(re.sub(r"\W", "", attributes.code(each)) for each in NAMING)
        if named not in looked:
            looked[named] = read_person(attributes)
    people = list(looked.values())
    first = people[0]
    ages = [each.age_years for each in people if each.age_years is not None]
    if ages and max(ages) - min(ages) >= 1.0:
        first = replace(first, age_years=None, age_source=None, stated_age_years=None)
    if len({each.sex for each in people} - {None}) > 1:
        first = replace(first, sex=None, sex_source=None)
    if len({each.height_m for each in people} - {None}) > 1:
        first = replace(first, height_m=None, height_source=None)
    return replace(
        first, several=any(len({key[at] for key in looked} - {""}) > 1 for at in range(TOLD_APART))
    )


def parse_date(text: str) -> date | None:
    """A DICOM date of a plausible year, also in the old spelling with points or with hyphens."""
    digits = re.sub(r"[.\-/]", "", text.strip())
    if not re.fullmatch(r"\d{8}", digits) or int(digits[:4]) not in PLAUSIBLE_YEARS:
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _age(attributes: Attributes) -> tuple[float | None, str | None]:
    """StudyDate minus PatientBirthDate, else PatientAge."""
    stated = parse_age(attributes.text("PatientAge"))
    birth_text = attributes.text("PatientBirthDate")
    used, day = next(((k, day) for k in STUDY_DATES if (day := _true_date(attributes.text(k)))), (None, None))
    born = _true_date(birth_text)
    computed = years_between(born, day) if born and day and not _is_stand_in(attributes, born, day) else None
    if computed is None or not 0 <= computed <= OLDEST_YEARS:
        why = " (PatientBirthDate is not usable)" if birth_text else ""
        return (stated, "PatientAge" + why) if stated is not None else (None, None)
    source = f"{used}-PatientBirthDate"
    # PatientAge is in completed years.
    if stated is not None and abs(stated - int(computed)) > 1.0:
        source += f" (PatientAge={attributes.text('PatientAge')} disagrees)"
    return computed, source


def _true_date(text: str) -> date | None:
    """A date that is none of those that stand where none is known."""
    return None if re.sub(r"\D", "", text) in DUMMY_BIRTH_DATES else parse_date(text)


def _is_stand_in(attributes: Attributes, born: date, day: date) -> bool:
    """Whether a birth date only fills its place: the day of the study, or a made-up first of January."""
    removed = attributes.code("PatientIdentityRemoved") == "YES"
    return born == day or (removed and (born.month, born.day) == (1, 1))


def years_between(born: date, day: date) -> float:
    """Completed years, and the share of the current one."""
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    last, following = _birthday(born, born.year + years), _birthday(born, born.year + years + 1)
    return years + (day - last) / (following - last)


def _birthday(born: date, year: int) -> date:
    """The birthday in a year; 1 March for those born on 29 February, in other years."""
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 2, 28) + timedelta(days=1)


def parse_age(text: str) -> float | None:
    """PatientAge in years, from 66, 66Y, 066Y, 792M, 3432W or 24000D."""
    match = AGE_PATTERN.fullmatch(text.strip().upper())
    if not match:
        return None
    years = float(match[1].replace(",", ".")) * YEARS_PER_UNIT[match[2]]
    # Some anonymisers write 000Y; a newborn is never meant.
    return years if 0 < years <= OLDEST_YEARS else None


def _sex(attributes: Attributes) -> tuple[Sex | None, str | None]:
    """M or F; O and anything else has no reference values."""
    sex = SEXES.get(attributes.code("PatientSex"))
    return sex, "PatientSex" if sex else None


def _height(attributes: Attributes) -> tuple[float | None, str | None]:
    """PatientSize in metres, whichever unit it was typed in."""
    size = attributes.number("PatientSize")
    for low, high, per_metre, unit in HEIGHT_UNITS:
        if size is not None and low <= size <= high:
            source = "PatientSize" if unit == "m" else f"PatientSize (read as {unit})"
            return size / per_metre, source
    return None, None
