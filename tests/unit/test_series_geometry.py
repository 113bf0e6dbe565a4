"""Slices of any order and orientation become stacks in patient coordinates."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from service.dicom.series import read_volume, scan
from tests.make.series import AXIAL, CORONAL, SAGITTAL, enhanced_mr, mr_series, tilted


def test_slices_run_from_caudal_to_cranial_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    paths = mr_series(tmp_path, positions=(8.0, 0.0, 12.0, 4.0))
    for order in (paths, paths[::-1]):
        (stack,) = scan(order).stacks
        assert stack.grid.origins_mm[:, 2].tolist() == [-30.0, -26.0, -22.0, -18.0]
        assert [ref.path.name for ref in stack.frames] == [
            "IM1-0002.dcm",
            "IM1-0004.dcm",
            "IM1-0001.dcm",
            "IM1-0003.dcm",
        ]
        assert read_volume(stack).values[:, 0, 0].tolist() == [100.0, 300.0, 0.0, 200.0]


def test_columns_increase_towards_the_patients_left(tmp_path: Path) -> None:
    (stack,) = scan(mr_series(tmp_path)).stacks
    last = stack.grid.to_patient(np.array([0.0, 0.0, 7.0]))
    assert last.tolist() == [-10.0 + 7 * 2.0, -20.0, -30.0]
    back = stack.grid.to_patient(np.array([0.0, 5.0, 0.0]))
    assert back.tolist() == [-10.0, -20.0 + 5 * 1.5, -30.0]


@pytest.mark.parametrize("flip", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_mirrored_axial_orientations_still_run_to_the_head(tmp_path: Path, flip: tuple[int, int]) -> None:
    orientation = [flip[0] * v for v in AXIAL[:3]] + [flip[1] * v for v in AXIAL[3:]]
    (stack,) = scan(mr_series(tmp_path, orientation=orientation)).stacks
    assert np.all(np.diff(stack.grid.origins_mm[:, 2]) > 0)
    assert stack.grid.normal[2] == pytest.approx(1.0)
    assert stack.grid.column_direction[0] == flip[0]


@pytest.mark.parametrize(
    ("orientation", "plane", "tilt"),
    [
        (AXIAL, "axial", 0.0),
        (tilted(17.0), "axial", 17.0),
        (tilted(40.0), "axial", 40.0),
        (tilted(50.0), "coronal", 50.0),
        (CORONAL, "coronal", 90.0),
        (SAGITTAL, "sagittal", 90.0),
    ],
)
def test_the_plane_has_the_name_of_the_nearest_axis(
    tmp_path: Path, orientation: tuple[float, ...], plane: str, tilt: float
) -> None:
    (stack,) = scan(mr_series(tmp_path, orientation=orientation)).stacks
    assert stack.facts.plane == plane
    assert stack.facts.tilt_degrees == pytest.approx(tilt, abs=1e-4)


def test_a_plane_far_from_every_axis_is_oblique(tmp_path: Path) -> None:
    normal = np.array([1.0, 1.0, 1.0]) / np.sqrt(3)
    column = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
    orientation = (*column, *np.cross(normal, column))
    (stack,) = scan(mr_series(tmp_path, orientation=orientation)).stacks
    assert stack.facts.plane == "oblique"


def test_oblique_steps_are_measured_along_the_normal(tmp_path: Path) -> None:
    (stack,) = scan(mr_series(tmp_path, orientation=tilted(30.0))).stacks
    assert stack.facts.spacing_mm == pytest.approx((4.0, 1.5, 2.0), abs=1e-6)
    assert stack.facts.coverage_mm == pytest.approx(20.0)


def test_positions_count_and_the_written_spacing_does_not(tmp_path: Path) -> None:
    paths = mr_series(
        tmp_path,
        positions=(0.0, 4.0, 8.0, 20.0),
        changes={"SpacingBetweenSlices": "-3.3", "SliceThickness": "1"},
        each=lambda dataset, index: setattr(dataset, "InstanceNumber", str(9 - index)),
    )
    (stack,) = scan(paths).stacks
    assert np.diff(stack.grid.offsets_mm).tolist() == [4.0, 4.0, 12.0]
    assert stack.facts.largest_gap_ratio == 3.0


def test_two_orientations_in_one_series_are_two_stacks(tmp_path: Path) -> None:
    first = mr_series(tmp_path, orientation=tilted(5.0), positions=(0, 4, 8))
    second = mr_series(tmp_path, orientation=tilted(25.0), positions=(0, 4), first_number=11)
    stacks = scan(second + first).stacks
    assert [(s.facts.stack, s.facts.slices) for s in stacks] == [(0, 3), (1, 2)]
    assert [s.facts.tilt_degrees for s in stacks] == pytest.approx([5.0, 25.0], abs=1e-4)


def test_directions_that_differ_in_the_last_digits_stay_together(tmp_path: Path) -> None:
    def wobble(dataset: Dataset, index: int) -> None:
        dataset.ImageOrientationPatient = ["1", f"{index}e-5", "0", f"-{index}e-5", "1", "0"]

    (stack,) = scan(mr_series(tmp_path, each=wobble)).stacks
    assert stack.facts.slices == 5


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("FrameOfReferenceUID", "1.2.3"),
        ("PixelSpacing", ["1.5", "2.1"]),
        ("EchoTime", "20"),
        ("EchoNumbers", "2"),
        ("ImageType", ["DERIVED", "PRIMARY", "DIXON", "WATER"]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "P"]),
    ],
)
def test_images_that_differ_in_kind_are_separate_stacks(tmp_path: Path, keyword: str, value: object) -> None:
    def change(dataset: Dataset, index: int) -> None:
        if index >= 3:
            setattr(dataset, keyword, value)

    paths = mr_series(tmp_path, positions=(0, 4, 8, 0, 4, 8), each=change)
    stacks = scan(paths).stacks
    assert [s.facts.slices for s in stacks] == [3, 3]
    assert stacks[0].facts.sop_instance_uids != stacks[1].facts.sop_instance_uids


def test_repeated_positions_are_told_apart_by_their_temporal_position(tmp_path: Path) -> None:
    def dynamic(dataset: Dataset, index: int) -> None:
        dataset.TemporalPositionIdentifier = str(1 + index % 2)

    stacks = scan(mr_series(tmp_path, positions=(0, 0, 4, 4, 8, 8), each=dynamic)).stacks
    assert [read_volume(s).values[:, 0, 0].tolist() for s in stacks] == [[0, 200, 400], [100, 300, 500]]


def test_repeated_positions_that_nothing_tells_apart_go_by_their_number(tmp_path: Path) -> None:
    stacks = scan(mr_series(tmp_path, positions=(0, 4, 8, 0, 4))).stacks
    assert [read_volume(s).values[:, 0, 0].tolist() for s in stacks] == [[0, 100, 200], [300, 400]]


def test_one_instance_under_two_names_is_used_once(tmp_path: Path) -> None:
    paths = mr_series(tmp_path)
    copy = tmp_path / "ZZ-copy.dcm"
    copy.write_bytes(paths[0].read_bytes())
    result = scan([copy, *paths])
    assert result.stacks[0].facts.slices == 5
    assert [(u.path.name, u.reason.code) for u in result.unreadable] == [
        ("ZZ-copy.dcm", "duplicate_instance")
    ]


def test_one_slice_has_the_extent_of_its_thickness(tmp_path: Path) -> None:
    (stack,) = scan(mr_series(tmp_path, positions=(0.0,))).stacks
    assert stack.facts.coverage_mm == 4.0
    assert stack.facts.largest_gap_ratio == 1.0


def test_slices_are_ordered_along_one_normal_where_directions_jitter(tmp_path: Path) -> None:
    # Along the normal of the lowest slice, which leans by 0.001, the order is another.
    places = [(-9000, 0, 4), (0, 0, 0), (0, 0, 8)]

    def lean(dataset: Dataset, index: int) -> None:
        dataset.ImagePositionPatient = list(places[index])
        dataset.ImageOrientationPatient = [1, 0, -0.001 if index == 1 else 0, 0, 1, 0]

    result = scan(mr_series(tmp_path, positions=(0, 1, 2), each=lean))
    (stack,) = result.stacks
    assert result.unreadable == ()
    assert np.all(np.diff(stack.grid.offsets_mm) > 0)
    by_name = {f"IM1-000{index + 1}.dcm": place for index, place in enumerate(places)}
    assert [by_name[ref.path.name] for ref in stack.frames] == [tuple(o) for o in stack.grid.origins_mm]


def test_slices_that_have_no_order_are_unreadable_and_spare_the_other_stack(tmp_path: Path) -> None:
    # Two repetitions; along the leaning normal of the second both of its slices lie at one position.
    places = [(0, 0, 0), (-4096, 0, 4)] * 2

    def lean(dataset: Dataset, index: int) -> None:
        dataset.ImagePositionPatient = list(places[index])
        dataset.ImageOrientationPatient = [1, 0, -(2.0**-10) if index >= 2 else 0, 0, 1, 0]

    result = scan(mr_series(tmp_path, positions=(0, 1, 2, 3), each=lean))
    assert [stack.facts.slices for stack in result.stacks] == [2]
    assert [(u.path.name, u.reason.code) for u in result.unreadable] == [
        ("IM1-0003.dcm", "duplicate_positions"),
        ("IM1-0004.dcm", "duplicate_positions"),
    ]
    assert {u.series_uid for u in result.unreadable} == {result.stacks[0].facts.series_uid}


def test_the_frames_of_an_enhanced_object_are_slices_in_order_of_position(tmp_path: Path) -> None:
    path = enhanced_mr(
        tmp_path / "e.dcm",
        positions=[(-10, -20, 8), (-10, -20, 0), (-10, -20, 4)],
        slopes=[1.0, 2.0, 3.0],
    )
    (stack,) = scan([path]).stacks
    assert [ref.frame for ref in stack.frames] == [2, 3, 1]
    assert stack.facts.contrast == "t2_tse"
    assert stack.facts.contrast_evidence == (
        "EchoPulseSequence=SPIN, EffectiveEchoTime=98 ms, RepetitionTime=3500 ms"
    )
    assert stack.facts.spacing_mm == (4.0, 1.5, 2.0)
    assert read_volume(stack).values[:, 0, 1].tolist() == [101 * 2, 201 * 3, 1.0]


def test_frames_of_one_enhanced_object_can_form_several_stacks(tmp_path: Path) -> None:
    path = enhanced_mr(
        tmp_path / "e.dcm",
        positions=[(0, 0, z) for z in (0, 4, 8, 0, 4, 8)],
        orientations=[AXIAL] * 6,
        frame_types=[["DERIVED", "PRIMARY", "DIXON", "WATER"]] * 3
        + [["DERIVED", "PRIMARY", "DIXON", "FAT"]] * 3,
    )
    stacks = scan([path]).stacks
    assert [s.facts.contrast for s in stacks] == ["water", "fat"]
    assert [s.facts.slices for s in stacks] == [3, 3]
    assert not any(s.facts.derived for s in stacks)


def test_a_legacy_converted_object_is_read_like_an_enhanced_one(tmp_path: Path) -> None:
    path = enhanced_mr(
        tmp_path / "e.dcm",
        positions=[(0, 0, 0), (0, 0, 4)],
        sop_class="1.2.840.10008.5.1.4.1.1.4.4",
    )
    (stack,) = scan([path]).stacks
    assert stack.facts.slices == 2


def test_a_wrong_number_of_frames_is_unreadable(tmp_path: Path) -> None:
    path = enhanced_mr(tmp_path / "e.dcm", positions=[(0, 0, 0), (0, 0, 4)], NumberOfFrames="3")
    assert [u.reason.code for u in scan([path]).unreadable] == ["bad_frame_count"]
