"""A person as a table of people describes one, read as patiently as a DICOM header."""

from dataclasses import replace

from pydicom.dataset import Dataset

from service.core.series import Person
from service.dicom.demographics import parse_age, read_person
from service.dicom.headers import Attributes, clean_text, quiet


@quiet()
def person_of(*, age: str, sex: str, height: str, source: str) -> Person:
    """Age in years, sex and height in the spellings of headers; what makes no sense is not known.

    Each value says that it came from ``source``.
    """
    dataset = Dataset()
    dataset.PatientSex = clean_text(sex)
    dataset.PatientSize = _number(height)
    read = read_person(Attributes((dataset,)))
    years = parse_age(clean_text(age).replace(",", "."))
    return replace(
        read,
        age_years=years,
        age_source=None if years is None else source,
        stated_age_years=years,
        sex_source=None if read.sex is None else source,
        height_source=None if read.height_m is None else source,
    )


def _number(text: str) -> str | None:
    """A number as DICOM writes it, else nothing."""
    plain = clean_text(text).replace(",", ".")
    try:
        return f"{float(plain):.10g}"
    except ValueError:
        return None
