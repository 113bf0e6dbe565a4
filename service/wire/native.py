"""Answers by the Native DICOM Model (XML, PS3.19 A.1), as far as an answer to STOW-RS needs it."""

from typing import Any
from xml.etree import ElementTree as ET

#: Sequences in sequences; an answer has one level of them (PS3.18 table 10.5.3-2).
DEEPEST = 4


def model_of(content: bytes) -> dict[str, Any] | None:
    """The same dataset by the DICOM JSON model (PS3.18 F.2), None where the content is no such dataset.

    What declares a document type, as web pages do, is not read: nothing in it is expanded or fetched.
    """
    if b"<!" in content or b"\0" in content:
        return None
    try:
        root = ET.fromstring(content)  # noqa: S314 - it has no entities # nosec B314
    except (ET.ParseError, ValueError, LookupError):
        return None
    return _dataset(root, DEEPEST) if _name(root) == "NativeDicomModel" else None


def _dataset(element: ET.Element, depth: int) -> dict[str, Any]:
    attributes = [each for each in element if _name(each) == "DicomAttribute"]
    return {
        each.get("tag", ""): {"vr": each.get("vr", ""), "Value": _values(each, depth)} for each in attributes
    }


def _values(attribute: ET.Element, depth: int) -> list[Any]:
    """The values of one attribute: datasets, numbers or text."""
    if attribute.get("vr") == "SQ":
        items = [each for each in attribute if _name(each) == "Item"]
        return [_dataset(each, depth - 1) for each in items] if depth else []
    texts = [(each.text or "").strip() for each in attribute if _name(each) == "Value"]
    if attribute.get("vr") == "US":
        return [int(text) for text in texts if text.isascii() and text.isdigit()]
    return texts


def _name(element: ET.Element) -> str:
    """The name without its namespace."""
    return element.tag.rpartition("}")[2]
