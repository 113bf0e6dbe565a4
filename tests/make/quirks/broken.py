"""Encodings, pixels, broken and hostile files."""

from functools import partial

import numpy as np
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from tests.make.quirks.making import (
    LARGE,
    TEN,
    bomb,
    colour,
    content,
    cut,
    decimal_number,
    dicomdir,
    each,
    having,
    items,
    nested,
    no_meta,
    one_file,
    philips_scale,
    raw,
    series,
)
from tests.make.quirks.quirk import Quirk

ENCODING = partial(Quirk, group="Encoding and pixels")

ENCODING_ROWS = (
    ENCODING(text="Implicit VR Little Endian", make=series(syntax=ImplicitVRLittleEndian), pixels=True),
    ENCODING(
        text="Explicit VR Big Endian",
        make=series(syntax=ExplicitVRBigEndian, changes={"PixelData": np.arange(48, dtype=">u2").tobytes()}),
        pixels=True,
    ),
    ENCODING(
        text="Deflated Explicit VR Little Endian",
        make=series(syntax=DeflatedExplicitVRLittleEndian),
        pixels=True,
    ),
    ENCODING(text="RLE", make=series(syntax=RLELossless), pixels=True),
    ENCODING(text="JPEG-LS without loss", make=series(syntax=JPEGLSLossless, changes=LARGE), pixels=True),
    ENCODING(text="no preamble and no meta information", make=one_file(no_meta), sets=("too_few_slices",)),
    ENCODING(text="an InstanceNumber with decimals", make=each(decimal_number)),
    ENCODING(text="EchoTime is a word: the description decides", make=raw(EchoTime="n/a")),
    ENCODING(text="private attributes and a scale slope of Philips", make=each(philips_scale), pixels=True),
    ENCODING(
        text="MONOCHROME1: turned round", make=having(PhotometricInterpretation="MONOCHROME1"), pixels=True
    ),
    ENCODING(text="colour", make=each(colour), sets=("unsupported_photometric",), pixels=True),
    ENCODING(
        text="a rescale slope that is no number of images",
        make=having(RescaleSlope="1e300"),
        sets=("bad_rescale",),
        pixels=True,
    ),
    ENCODING(text="no pixels", make=having(PixelData=None), sets=(), files=("no_pixels",) * 10),
)

HOSTILE = partial(Quirk, group="Broken and hostile")

HOSTILE_ROWS = (
    HOSTILE(text="an empty file", make=content(b""), sets=(), files=("empty_file",)),
    HOSTILE(text="a text", make=content(b"hello, this is text\n" * 20), sets=(), files=("not_dicom",)),
    HOSTILE(
        text="a picture (PNG)",
        make=content(b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        sets=(),
        files=("not_dicom",),
    ),
    HOSTILE(text="a DICOMDIR: passed over", make=one_file(dicomdir), sets=()),
    HOSTILE(
        text="one file cut in the middle of its header",
        make=cut(series(positions=TEN[:1]), lambda data: data[:700]),
        sets=(),
        files=("not_an_image",),
    ),
    HOSTILE(
        text="one file cut in the middle of its pixels",
        make=cut(series(), lambda data: data[:-20]),
        sets=("truncated_pixels",),
        pixels=True,
    ),
    HOSTILE(
        text="compressed pixels without an end",
        make=cut(series(syntax=RLELossless), lambda data: data[:-8]),
        sets=("truncated_pixels",),
        pixels=True,
    ),
    HOSTILE(
        text="a series UID that is a path: ../../etc",
        make=having(SeriesInstanceUID="../../etc"),
        sets=(),
        files=("bad_uid",) * 10,
    ),
    HOSTILE(
        text="an instance UID of 81 characters",
        make=having(SOPInstanceUID="1." * 40 + "1"),
        sets=(),
        files=("bad_uid",) * 10,
    ),
    HOSTILE(
        text="a frame of reference that is a path",
        make=raw(FrameOfReferenceUID="../../etc"),
        sets=("no_frame_of_reference",),
    ),
    HOSTILE(
        text="a description of 60 000 characters: the first 1024 are read",
        make=raw(SeriesDescription="vibe_" * 12_000),
    ),
    HOSTILE(
        text="sequences nested three thousand deep", make=one_file(nested), sets=(), files=("bad_header",)
    ),
    HOSTILE(text="a sequence of 200 000 empty items", make=one_file(items), sets=(), files=("too_large",)),
    HOSTILE(text="a deflated header of 256 MB", make=one_file(bomb), sets=(), files=("too_large",)),
)
