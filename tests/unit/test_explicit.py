"""Elements encoded by hand are those of the library, byte for byte."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.dicom.explicit import LONGEST_BYTES, numbers, sequence, text

SINGLE = st.floats(width=32, allow_nan=False)


def by_library(**values: object) -> bytes:
    """A dataset of these elements as the library encodes it."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, dataset, "ISO_IR 192")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("UnformattedTextValue", "Größe 椎 №"),
        ("UnformattedTextValue", "odd"),
        ("GraphicLayer", "LEAN_LEFT"),
        ("ReferencedSOPInstanceUID", "1.2.345"),
        ("ReferencedSOPInstanceUID", "1.2.3456"),
        ("ReferencedFrameNumber", "7"),
    ],
)
def test_text_is_encoded_and_made_even_as_the_library_does(keyword, value):
    assert text(keyword, value) == by_library(**{keyword: value})


@given(st.lists(SINGLE, min_size=1), st.lists(st.integers(0, 2**32 - 1), min_size=1), st.integers(0, 65535))
def test_numbers_are_those_of_the_library(singles, longs, short):
    assert numbers("GraphicData", singles) == by_library(GraphicData=singles)
    assert numbers("DimensionIndexValues", longs) == by_library(DimensionIndexValues=longs)
    assert numbers("NumberOfGraphicPoints", short) == by_library(NumberOfGraphicPoints=short)


def test_a_sequence_holds_its_items_in_their_order():
    items = [Dataset(), Dataset()]
    items[0].GraphicDimensions, items[1].GraphicLayer = 2, "NOTICE"
    encoded = [numbers("GraphicDimensions", 2), text("GraphicLayer", "NOTICE")]
    assert sequence("GraphicObjectSequence", encoded) == by_library(GraphicObjectSequence=items)
    assert sequence("GraphicObjectSequence", []) == by_library(GraphicObjectSequence=[])


def test_points_are_written_row_by_row_also_from_a_turned_array():
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert numbers("GraphicData", points[:, ::-1]) == by_library(GraphicData=[2.0, 1.0, 4.0, 3.0])


def test_what_has_no_place_in_its_element_is_refused():
    fits = np.zeros(LONGEST_BYTES // 4)
    assert len(numbers("GraphicData", fits)) == 8 + 65532
    with pytest.raises(ValueError, match="65536 bytes"):
        numbers("GraphicData", np.zeros(len(fits) + 1))
    with pytest.raises(OverflowError):
        numbers("NumberOfGraphicPoints", 65536)
