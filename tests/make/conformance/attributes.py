"""Which attributes are read of an image, found in the source of the modules that read."""

import ast
from pathlib import Path
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.tag import Tag

from service.dicom.instance import IDENTITY_TAGS
from tests.make.conformance.markdown import table

DICOM: Final = Path(__file__).resolve().parents[3] / "service" / "dicom"
#: The modules that read images of others, by what they read them for.
READERS: Final = {
    "receiving": ("instance", "identity"),
    "sorting": ("grouping", "groups", "frame_groups", "frames", "moments", "staggered", "stack", "series"),
    "geometry": ("geometry", "edges", "blocks"),
    "contrast and region": ("contrast", "kinds", "agent"),
    "person": ("demographics",),
    "pixels": ("pixels", "numbers", "decoding"),
}


def attributes_table() -> str:
    """Attribute, tag, VR and what it is read for."""
    found: dict[int, set[str]] = {}
    for purpose, modules in READERS.items():
        for name in modules:
            for tag in _tags((DICOM / f"{name}.py").read_text("utf-8")):
                found.setdefault(tag, set()).add(purpose)
    for tag in IDENTITY_TAGS:
        found.setdefault(tag, set()).add("receiving")
    rows = [
        (keyword_for_tag(tag), _number(tag), dictionary_VR(tag), ", ".join(sorted(purposes)))
        for tag, purposes in sorted(found.items())
    ]
    return table(("attribute", "tag", "VR", "read for"), rows)


def _number(tag: int) -> str:
    return f"({Tag(tag).group:04X},{Tag(tag).element:04X})"


def _tags(source: str) -> set[int]:
    """Tags of the keywords that stand in a source, as texts or as attributes of a dataset."""
    words = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value)
        elif isinstance(node, ast.Attribute):
            words.add(node.attr)
    tags = (tag_for_keyword(word) for word in words)
    return {int(tag) for tag in tags if tag is not None and keyword_for_tag(tag)}
