"""What a result keeps so that a page can show it slice by slice, and how that is read; light.

Whoever decoded the images wrote it (``pipeline.slicing``), as finished pictures, so nobody who shows them
has to decode anything. The images go when the received images go; the drawing goes with the result.
"""

import json
import shutil
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: In the folder of the result: the images, and the drawing with what is known of every slice.
IMAGES_NAME = "slices.zip"
DRAWING_NAME = "drawing.zip"
SCHEMA = "myoscreen.slices/1"
INDEX = "index.json"
#: What reading such an archive raises where its bits are not what they were.
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError),
    *(ValueError, TypeError, LookupError, AttributeError),
)


@dataclass(frozen=True, kw_only=True)
class SliceFacts:
    """One slice, in the order in which they are looked through: from the caudal end."""

    #: As in the captions of the capture: from 1, in the order of the stack, of so many.
    number: int
    count: int
    #: From the caudal end of what is shown.
    height_mm: float
    #: Of several stations the number, from the caudal end; None for a single stack, and where none counts.
    station: int | None
    #: Something is drawn on it.
    drawn: bool
    #: Another station counts this place.
    elsewhere: bool
    #: Letters of the patient's directions at the left, right, upper and lower edge.
    letters: tuple[str, str, str, str]
    #: Columns and rows as it is shown.
    size_px: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class SliceIndex:
    """Everything that is known of the slices of one result."""

    slices: tuple[SliceFacts, ...]
    #: Fat and muscle are drawn apart; None where nothing is drawn.
    fat_separated: bool | None
    #: Colours of the drawing by name of the label, red, green, blue.
    colours: dict[str, tuple[int, int, int]]
    #: So many times smaller than received; None: the images were not kept, for they are too large.
    shrink: int | None

    def as_json(self) -> bytes:
        """As it lies in the file."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, allow_nan=False).encode("utf-8")


def read_index(folder: Path) -> SliceIndex | None:
    """What is known of the slices of the result in a folder; None where nothing (readable) is there."""
    try:
        with zipfile.ZipFile(folder / DRAWING_NAME) as archive:
            return _index(json.loads(archive.read(INDEX)))
    except _DAMAGED:
        return None


def image_name(place: int) -> str:
    """The name of the image at a place of the index, from 1."""
    return f"image-{place}.png"


def layer_name(place: int) -> str:
    """The name of its drawing."""
    return f"drawing-{place}.png"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture, and what tells it from another at the same address."""

    #: PNG.
    content: bytes
    tag: str


def read_picture(archive_path: Path, name: str) -> Picture | None:
    """One picture; None where it is not there, or cannot be read."""
    try:
        with zipfile.ZipFile(archive_path) as archive:
            entry = archive.getinfo(name)
            return Picture(content=archive.read(entry), tag=f"{entry.CRC:08x}-{entry.file_size:x}")
    except _DAMAGED:
        return None


def carry(folder: Path, out: Path) -> None:
    """Have another result show the same slices, on the disk once where the file system can."""
    for name in (IMAGES_NAME, DRAWING_NAME):
        if (folder / name).is_file():
            try:
                (out / name).hardlink_to(folder / name)
            except OSError:
                shutil.copyfile(folder / name, out / name)


def _index(content: dict[str, Any]) -> SliceIndex:
    if content.pop("schema") != SCHEMA:
        raise ValueError("another schema")
    slices = (
        SliceFacts(**{**each, "letters": tuple(each["letters"]), "size_px": tuple(each["size_px"])})
        for each in content.pop("slices")
    )
    colours = {name: tuple(colour) for name, colour in content.pop("colours").items()}
    return SliceIndex(slices=tuple(slices), colours=colours, **content)
