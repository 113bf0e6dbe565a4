"""Source headers made fit to be copied into results.

highdicom copies attributes of the patient, study, series and frame of reference as they are and
fails where some are absent; so values are cleaned here, once, before anything is written.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName, format_number_as_ds, validate_value

from service.dicom.demographics import parse_age, parse_date
from service.dicom.headers import FOREIGN_ERRORS, HEADER_ERRORS, as_number, clean_text, quiet, read_header
from service.dicom.stack import Stack
from service.errors import UnreadableSeries

#: Type 2 attributes that writers of results rely on (PS3.3 C.7.1.1, C.7.2.1, C.7.3.1, C.7.4.1).
TYPE_2_KEYWORDS: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "Manufacturer", "SeriesNumber"),
    *("InstanceNumber", "PositionReferenceIndicator"),
)
#: Longest text of each value representation (PS3.5 6.2), in characters.
LONGEST: Final = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "PN": 64, "ST": 1024, "LT": 10240, "UI": 64}
UNICODE: Final = "ISO_IR 192"
ICON_IMAGE: Final = 0x00880200
OVERLAY_GROUPS: Final = range(0x6000, 0x6020)
CURVE_GROUPS: Final = range(0x5000, 0x5020)
#: Components of a person's name, and its alphabetic, ideographic and phonetic groups (PS3.5 6.2.1).
NAME_COMPONENTS: Final = 5
NAME_GROUPS: Final = 3


@quiet()
def source_datasets(stack: Stack) -> list[Dataset]:
    """The headers of a stack's objects without pixels: one a slice, or one a multi-frame object.

    Absent type 2 attributes are there and empty, names and texts are in Unicode, private attributes,
    overlays and icons are gone, and every value keeps the rules of its value representation.
    A multi-frame object is given whole, also where only some of its frames are in the stack.
    """
    paths = dict.fromkeys(ref.path for ref in stack.frames)
    datasets = []
    for path in paths:
        try:
            header = read_header(path)
            assert header is not None  # A DICOMDIR is part of no stack.
            dataset = header.dataset
            normalise(dataset)
        except HEADER_ERRORS as error:
            raise UnreadableSeries("The DICOM header cannot be parsed.", reason="bad_header") from error
        if not dataset.get("SliceThickness") and "PixelSpacing" in dataset and stack.grid.slice_step_mm:
            # Written objects need one; the step is what each slice stands for.
            dataset.SliceThickness = format_number_as_ds(stack.grid.slice_step_mm)
        datasets.append(dataset)
    return list(datasets)


def normalise(dataset: Dataset) -> None:
    """Clean one dataset in place."""
    _clean(dataset)
    for keyword in TYPE_2_KEYWORDS:
        if keyword not in dataset:
            setattr(dataset, keyword, "")
    dataset.SpecificCharacterSet = UNICODE


def _clean(dataset: Dataset) -> None:
    """Clean the elements of a dataset or of a sequence item."""
    for tag in list(dataset.keys()):
        if _unwanted(tag):
            del dataset[tag]
            continue
        element = _converted(dataset, tag)
        if element is None or element.VR == "UN":
            del dataset[tag]
        elif element.VR == "SQ":
            for item in element.value or ():
                _clean(item)
                item.pop(0x00080005, None)
        elif element.VR in CLEANERS:
            dataset[tag] = DataElement(tag, element.VR, _clean_values(element))


def _unwanted(tag: BaseTag) -> bool:
    """Private attributes, group lengths, and pictures on top of the picture."""
    return (
        tag.is_private
        or tag.element == 0
        or tag.group in OVERLAY_GROUPS
        or tag.group in CURVE_GROUPS
        or tag == ICON_IMAGE
    )


def _converted(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    """The element with its value as pydicom reads it; its plain characters where it cannot; else None."""
    raw = dataset.get_item(tag)
    try:
        return dataset[tag]
    except FOREIGN_ERRORS:
        value, vr = getattr(raw, "value", None), getattr(raw, "VR", None) or _dictionary_vr(tag)
    if not isinstance(value, bytes) or vr not in CLEANERS:
        return None
    return _plain(tag, vr, value)


def _plain(tag: BaseTag, vr: str, value: bytes) -> DataElement:
    """An element whose values are cleaned from their plain characters."""
    texts = value.decode("latin-1").strip(" \0").split("\\")
    cleaned = [c for c in (CLEANERS[vr](text) for text in texts) if c != ""]
    return DataElement(tag, vr, cleaned if len(cleaned) > 1 else (cleaned[0] if cleaned else ""))


def _dictionary_vr(tag: BaseTag) -> str:
    """The value representation of a standard tag, UN for any other."""
    try:
        return pydicom.datadict.dictionary_VR(tag)
    except KeyError:
        return "UN"


def _clean_values(element: DataElement) -> Any:
    """The values of an element, each cleaned, senseless ones left out."""
    value = element.value
    if value is None or value == "":
        return ""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | PersonName)
    values = [_valid(element.VR, v) for v in (list(value) if several else [value])]
    if not several:
        return values[0]
    if element.VR in ("DS", "IS", "UI") and "" in values:
        # A vector with a hole has no meaning.
        return ""
    return values


def _valid(vr: str, value: Any) -> Any:
    """One value that keeps the rules of its representation, "" where there is none."""
    cleaned = CLEANERS[vr](value)
    try:
        validate_value(vr, str(cleaned), pydicom.config.RAISE)
    except FOREIGN_ERRORS:
        return ""
    return cleaned


def _text(vr: str) -> Callable[[Any], str]:
    """Cuts short texts to their length."""

    def clean(value: Any) -> str:
        return clean_text(value).replace("\\", "/")[: LONGEST[vr]].rstrip()

    return clean


def _long_text(vr: str) -> Callable[[Any], str]:
    """Cuts long texts to their length, keeping line breaks."""

    def clean(value: Any) -> str:
        text = str(value).encode("utf-8", "replace").decode("utf-8")
        return "".join(c for c in text if c.isprintable() or c in "\r\n\f\t")[: LONGEST[vr]].rstrip()

    return clean


def _code(value: Any) -> str:
    """Capitals, digits, blank and underscore only."""
    return re.sub(r"[^A-Z0-9 _]", "_", clean_text(value).upper())[: LONGEST["CS"]].strip()


def _name(value: Any) -> PersonName | str:
    """A name in Unicode, with at most the groups and components that DICOM knows.

    The name is made anew: a PersonName that was read keeps its bytes and would be written in them.
    """
    groups = clean_text(value).replace("\\", "^").split("=")[:NAME_GROUPS]
    groups = ["^".join(g.split("^")[:NAME_COMPONENTS])[: LONGEST["PN"]] for g in groups]
    text = "=".join(groups).rstrip("=^ ")
    return PersonName(text) if text else ""


def _decimal(value: Any) -> str:
    """At most sixteen characters."""
    number = as_number(value)
    if number is None:
        return ""
    text = clean_text(value)
    return text if re.fullmatch(r"[+-]?[0-9.eE+-]{1,16}", text) else str(format_number_as_ds(number))


def _integer(value: Any) -> str:
    """A whole number, also where a scanner wrote decimals."""
    number = as_number(value)
    return "" if number is None or abs(number) >= 2**31 else str(round(number))


def _date(value: Any) -> str:
    """A date that exists."""
    day = parse_date(clean_text(value))
    return day.strftime("%Y%m%d") if day else ""


def _age(value: Any) -> str:
    """An age such as 066Y."""
    text = clean_text(value).upper()
    if re.fullmatch(r"\d{3}[DWMY]", text):
        return text
    years = parse_age(text)
    return f"{int(years):03d}Y" if years is not None else ""


def _time(value: Any) -> str:
    """A time of day, without the colons of the old spelling."""
    text = clean_text(value).replace(":", "")
    return text if re.fullmatch(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?", text) else ""


CLEANERS: Final[dict[str, Callable[[Any], Any]]] = {
    "AE": _text("AE"),
    "AS": _age,
    "CS": _code,
    "DA": _date,
    "DS": _decimal,
    "DT": clean_text,
    "IS": _integer,
    "LO": _text("LO"),
    "LT": _long_text("LT"),
    "PN": _name,
    "SH": _text("SH"),
    "ST": _long_text("ST"),
    "TM": _time,
    "UI": lambda value: clean_text(value).rstrip("\0"),
}
