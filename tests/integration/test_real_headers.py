"""Real DICOM objects and the one real volunteer are read as what they are."""

from pathlib import Path

import numpy as np
import pytest

from service.dicom.series import Stack, read_volume, scan, source_datasets
from service.errors import UnreadableSeries
from tests.make.data import data_dir
from tests.make.tum01 import LEFT, RIGHT, tum01_labels, tum01_volume, write_tum01

DATA = data_dir()


def real(*parts: str) -> Path:
    """A file or folder of the test data; the test is skipped where it is absent."""
    path = (DATA or Path("absent")).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"test data not present: {'/'.join(parts)}")
    return path


def only_stack(name: str) -> Stack:
    """The one stack of a single object."""
    (stack,) = scan([real("dicom", name)]).stacks
    return stack


def test_a_real_axial_t2_slice_is_recognised_and_decoded() -> None:
    stack = only_stack("mr_axial_t2_tse.dcm")
    facts = stack.facts
    assert (facts.modality, facts.plane, facts.contrast, facts.region) == ("MR", "axial", "t2_tse", "unknown")
    assert facts.contrast_evidence == "ScanningSequence=SE, EchoTime=97 ms, RepetitionTime=8080 ms"
    assert facts.tilt_degrees == pytest.approx(16.64, abs=0.01)
    assert (facts.derived, facts.localizer, facts.lossy, facts.phantom) == (False, False, False, False)
    assert facts.person.age_years == 10.0
    assert facts.person.age_source == "PatientAge (PatientBirthDate is not usable)"
    assert facts.person.height_m == 1.52
    assert read_volume(stack).values.max() == 819.0


def test_a_real_file_without_sequence_delimiter_ends_as_a_named_outcome() -> None:
    stack = only_stack("mr_axial_t2_tse_missing_delimiter.dcm")
    with pytest.raises(UnreadableSeries) as caught:
        read_volume(stack)
    assert caught.value.reason.code == "truncated_pixels"


@pytest.mark.parametrize("damage", range(6))
def test_a_damaged_jpeg_takes_nothing_else_with_it(tmp_path: Path, damage: int) -> None:
    raw = bytearray(real("dicom", "mr_coronal_abdomen.dcm").read_bytes())
    start = raw.index(b"\xff\xd8\xff")
    raw[start + damage * 8 : start + damage * 8 + 6] = b"\xf7\x00\xc3\xff\xc3\x41"
    path = tmp_path / "damaged.dcm"
    path.write_bytes(bytes(raw))
    (stack,) = scan([path]).stacks
    outcome = "decoded"
    try:
        read_volume(stack)
    except UnreadableSeries as error:
        outcome = error.reason.code
    assert outcome in ("decoded", "undecodable_pixels")


def test_a_real_reformat_is_derived() -> None:
    facts = only_stack("mr_axial_vibe_derived_mpr.dcm").facts
    assert facts.derived
    assert facts.contrast == "other"


def test_a_real_coronal_image_is_coronal() -> None:
    stack = only_stack("mr_coronal_abdomen.dcm")
    assert stack.facts.plane == "coronal"
    assert read_volume(stack).values.max() == pytest.approx(48 * 41.1216, rel=1e-3)


def test_a_real_ct_is_a_ct() -> None:
    stack = only_stack("ct_lumbar.dcm")
    assert (stack.facts.modality, stack.facts.plane) == ("CT", "axial")
    assert read_volume(stack).values.min() == -2000 - 1024


def test_real_headers_become_clean_sources() -> None:
    for path in sorted(real("dicom").glob("*.dcm")):
        for stack in scan([path]).stacks:
            (dataset,) = source_datasets(stack)
            assert dataset.SpecificCharacterSet == "ISO_IR 192"
            assert not [e for e in dataset if e.tag.is_private]


def test_the_volunteer_converts_with_true_geometry_and_sides(tmp_path: Path) -> None:
    data = real("tum01").parent
    result = scan(write_tum01(data, tmp_path, contrast="t2_tse"))
    (stack,) = result.stacks
    assert result.unreadable == ()
    facts = stack.facts
    assert (facts.plane, facts.contrast, facts.region, facts.slices) == ("axial", "t2_tse", "lumbar", 29)
    assert facts.spacing_mm == pytest.approx((4.0, 1.0185, 1.0185), abs=1e-4)
    assert facts.person.age_years is None
    labels = tum01_labels(data)
    assert labels.shape == stack.grid.shape
    centres = [
        stack.grid.to_patient(np.argwhere(np.isin(labels, side)).astype(float)).mean(axis=0)
        for side in (RIGHT, LEFT)
    ]
    assert centres[0][0] < centres[1][0]
    expected = np.rint(tum01_volume(data, "t2_tse").values)
    assert np.array_equal(read_volume(stack).values, expected)


def test_contrasts_of_the_volunteer_are_recognised(tmp_path: Path) -> None:
    data = real("tum01").parent
    for contrast in ("water", "opposed", "t1"):
        (stack,) = scan(write_tum01(data, tmp_path / contrast, contrast=contrast)).stacks
        assert stack.facts.contrast == contrast
        assert not stack.facts.derived
