"""Pixels of a stack as one volume, whatever way they were encoded."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.core.volume import Volume
from service.dicom.decoding import FRAGILE_SYNTAXES, decode, open_compressed, require_decodable
from service.dicom.edges import UNDEFINED_LENGTH
from service.dicom.frames import frame_attributes
from service.dicom.headers import (
    FOREIGN_ERRORS,
    HEADER_ERRORS,
    Attributes,
    Header,
    as_number,
    clean_text,
    quiet,
    read_header,
)
from service.dicom.stack import Stack
from service.errors import UnreadableSeries

#: All that the values of pixels depend on.
PIXEL_TAGS: Final = (
    *("SOPClassUID", "SOPInstanceUID", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "DirectoryRecordSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
#: A larger volume is refused: 1 GiB of float32. Chosen by us, because 64 slices of a 2048 matrix fit,
#: which no axial stack of the spine comes near.
LARGEST_VOXELS: Final = 2**28
#: A larger magnitude after the rescale is refused. Chosen by us, because the squares of as many values
#: as a volume may have still add up to a float32 (2**28 * 1e24 < 3e38), and 16 bits need 1e5.
LARGEST_VALUE: Final = 1e12
#: Where Philips keeps the scale slope of an image: private block and element of its MR group.
PHILIPS_CREATOR: Final = "0x20050010"
PHILIPS_GROUP: Final = "Philips MR Imaging DD 001"
PHILIPS_SCALE_SLOPE: Final = "0x2005100E"
#: Read straight from the file; everything else goes through a decoder.
NATIVE_SYNTAXES: Final = {ImplicitVRLittleEndian, ExplicitVRLittleEndian}


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """How the stored bits of one file become numbers."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    inverted: bool

    @classmethod
    def read(cls, attributes: Attributes) -> "PixelFormat":
        """From the image pixel module; UnreadableSeries for what is not grey of 8 or 16 bits."""
        photometric = attributes.code("PhotometricInterpretation") or "MONOCHROME2"
        samples = attributes.whole("SamplesPerPixel") or 1
        if photometric not in ("MONOCHROME1", "MONOCHROME2") or samples != 1:
            raise UnreadableSeries(
                f"The images are {photometric} with {samples} sample(s) per pixel, not grey.",
                reason="unsupported_photometric",
            )
        allocated = attributes.whole("BitsAllocated") or 0
        stored = attributes.whole("BitsStored") or allocated
        if allocated not in (8, 16) or not 1 <= stored <= allocated:
            raise UnreadableSeries(
                f"The images have {allocated} bits per pixel, not 8 or 16.", reason="unsupported_pixel_format"
            )
        high = attributes.whole("HighBit")
        return cls(
            rows=attributes.whole("Rows") or 0,
            columns=attributes.whole("Columns") or 0,
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=high if high is not None and stored - 1 <= high < allocated else stored - 1,
            signed=attributes.whole("PixelRepresentation") == 1,
            inverted=photometric == "MONOCHROME1",
        )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.bits_allocated // 8

    def stored_values(self, words: NDArray[Any]) -> NDArray[Any]:
        """The stored values without the bits that older objects kept overlays in."""
        if self.bits_stored == self.bits_allocated:
            return words
        left = self.bits_allocated - 1 - self.high_bit
        return (words << left) >> (self.bits_allocated - self.bits_stored)


@quiet()
def read_volume(stack: Stack) -> Volume:
    """Decode a stack in the order of its grid, with the modality's rescale applied.

    MONOCHROME1 is turned round, so that larger is always brighter. Raises UnreadableSeries with the
    reason ``truncated_pixels``, ``undecodable_pixels``, ``unsupported_photometric``,
    ``unsupported_pixel_format``, ``bad_rescale``, ``shape_mismatch``, ``too_large`` or ``io_error``.
    """
    if math.prod(stack.grid.shape) > LARGEST_VOXELS:
        raise UnreadableSeries("The stack has too many voxels.", reason="too_large")
    values = np.empty(stack.grid.shape, dtype=np.float32)
    by_path: dict[Path, list[tuple[int, int]]] = defaultdict(list)
    for index, ref in enumerate(stack.frames):
        by_path[ref.path].append((index, (ref.frame or 1) - 1))
    headers = {path: _pixel_header(path) for path in by_path}
    _try_fragile(headers)
    for path, wanted in by_path.items():
        _read_file(path, headers[path], wanted, values)
    return Volume(values=values, grid=stack.grid)


def read_pair(water: Stack, fat: Stack) -> tuple[Volume, Volume]:
    """Decode the water and the fat image of one acquisition, on one scale.

    Philips scales each kind of image by itself for display and keeps the factor in a private attribute;
    where both images have it, it is taken out: precise value = displayed value / (RescaleSlope * Scale
    Slope) (Chenevert 2014, Transl Oncol 7:65). Raises what ``read_volume`` raises.
    """
    volumes = read_volume(water), read_volume(fat)
    of_water, of_fat = _display_factors(water), _display_factors(fat)
    if of_water is None or of_fat is None:
        return volumes
    return _precise(volumes[0], of_water), _precise(volumes[1], of_fat)


def _precise(volume: Volume, factors: Sequence[float]) -> Volume:
    """The volume without the display factor of each slice."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        values = volume.values / np.asarray(factors, np.float32)[:, None, None]
    # Not-a-number fails every comparison.
    if not np.abs(values).max() <= LARGEST_VALUE:
        raise UnreadableSeries("The Scale Slope gives senseless pixel values.", reason="bad_rescale")
    return Volume(values=values, grid=volume.grid)


@quiet()
def _display_factors(stack: Stack) -> list[float] | None:
    """What Philips multiplied each slice by for display; None for other vendors and multi-frame objects."""
    factors = []
    for ref in stack.frames:
        header = read_header(ref.path, ("RescaleSlope", PHILIPS_CREATOR, PHILIPS_SCALE_SLOPE))
        dataset = header.dataset if header is not None else Dataset()
        creator = dataset.get(int(PHILIPS_CREATOR, 16))
        scale = dataset.get(int(PHILIPS_SCALE_SLOPE, 16))
        if ref.frame is not None or creator is None or scale is None:
            return None
        slope = as_number(scale.value)
        if clean_text(creator.value) != PHILIPS_GROUP or not slope or slope <= 0:
            return None
        factors.append(slope * (Attributes((dataset,)).number("RescaleSlope") or 1.0))
    return factors


def _pixel_header(path: Path) -> Header:
    """What the pixels of one file depend on."""
    header = read_header(path, PIXEL_TAGS)
    if header is None or header.pixel_offset is None:
        raise UnreadableSeries("The object has no pixels.", reason="no_pixels")
    return header


def _try_fragile(headers: Mapping[Path, Header]) -> None:
    """Let files whose decoder may die be decoded elsewhere first."""
    fragile = [path for path, header in headers.items() if header.transfer_syntax_uid in FRAGILE_SYNTAXES]
    for path in fragile:
        PixelFormat.read(Attributes((headers[path].dataset,)))
        try:
            open_compressed(path, headers[path].transfer_syntax_uid)
        except HEADER_ERRORS as error:
            raise UnreadableSeries("The pixels cannot be decoded.", reason="undecodable_pixels") from error
    if fragile:
        require_decodable(fragile)


def _read_file(
    path: Path, header: Header, wanted: Sequence[tuple[int, int]], values: NDArray[np.float32]
) -> None:
    """Decode the wanted (slice, frame) pairs of one file into the volume."""
    pixel_format = PixelFormat.read(Attributes((header.dataset,)))
    if (pixel_format.rows, pixel_format.columns) != values.shape[1:]:
        raise UnreadableSeries("Images of one stack differ in size.", reason="shape_mismatch")
    indices = [frame for _, frame in wanted]
    native = header.transfer_syntax_uid in NATIVE_SYNTAXES and header.pixel_length != UNDEFINED_LENGTH
    read = _native_frames if native else _decoded_frames
    try:
        frames = read(path, header, pixel_format, indices)
        attributes = frame_attributes(header.dataset, indices)
        for (index, _), frame, frame_facts in zip(wanted, frames, attributes, strict=True):
            values[index] = _rescaled(frame, pixel_format, frame_facts)
    except OSError as error:
        raise UnreadableSeries("The file could not be opened or read.", reason="io_error") from error
    except FOREIGN_ERRORS as error:
        raise UnreadableSeries("The pixels cannot be decoded.", reason="undecodable_pixels") from error


def _native_frames(
    path: Path, header: Header, pixel_format: PixelFormat, indices: Sequence[int]
) -> list[NDArray[Any]]:
    """Uncompressed frames, read from where they lie in the file."""
    kind = "i" if pixel_format.signed else "u"
    dtype = np.dtype(f"<{kind}{pixel_format.bits_allocated // 8}")
    pixels = pixel_format.rows * pixel_format.columns
    frames = []
    for index in indices:
        end = (index + 1) * pixel_format.frame_bytes
        start = (header.pixel_offset or 0) + index * pixel_format.frame_bytes
        words = np.fromfile(path, dtype=dtype, count=pixels, offset=start)
        if words.size != pixels or end > (header.pixel_length or 0):
            raise UnreadableSeries("The file ends in the middle of its pixels.", reason="truncated_pixels")
        frame = words.reshape(pixel_format.rows, pixel_format.columns)
        frames.append(pixel_format.stored_values(frame))
    return frames


def _decoded_frames(
    path: Path, header: Header, pixel_format: PixelFormat, indices: Sequence[int]
) -> list[NDArray[Any]]:
    """Frames from whichever installed decoder knows the transfer syntax."""
    frames = decode(open_compressed(path, header.transfer_syntax_uid), indices)
    for frame in frames:
        if frame.shape != (pixel_format.rows, pixel_format.columns):
            raise UnreadableSeries("Decoded pixels have another size.", reason="undecodable_pixels")
    return frames


def _rescaled(frame: NDArray[Any], pixel_format: PixelFormat, attributes: Attributes) -> NDArray[np.float32]:
    """Stored values through the modality LUT (PS3.3 C.11.1.1.2)."""
    if attributes.items("ModalityLUTSequence"):
        raise UnreadableSeries("The images need a modality look-up table.", reason="unsupported_pixel_format")
    values: NDArray[np.float32] = frame.astype(np.float32)
    if pixel_format.inverted:
        values = np.float32(-1 if pixel_format.signed else 2**pixel_format.bits_stored - 1) - values
    slope, intercept = attributes.number("RescaleSlope"), attributes.number("RescaleIntercept")
    with np.errstate(over="ignore", invalid="ignore"):
        if slope not in (None, 0.0, 1.0):
            values *= np.float32(slope)
        if intercept:
            values += np.float32(intercept)
    # Not-a-number fails every comparison.
    if not (values.min() >= -LARGEST_VALUE and values.max() <= LARGEST_VALUE):
        raise UnreadableSeries(
            "RescaleSlope or RescaleIntercept gives senseless pixel values.", reason="bad_rescale"
        )
    return values
