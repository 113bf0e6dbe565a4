"""Stations of one scan: which stacks are put together, and that every place of the body counts once."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import permutations

import numpy as np
import pytest

from service.core.dixon import find_input_sets, set_again
from service.core.mask import Label, Mask, without_fat
from service.core.measure import contents_of, counted_once, label_volumes_ml, measure_contents
from service.core.series import Acquisition, Role, StackFacts
from service.core.stations import AMBIGUOUS, composed_facts, count_once, scan_key, trimmed
from service.core.volume import Grid, Volume
from service.core.water_fat import DixonVolume
from tests.make import facts as make

IMAGE, STATION, WATER, FAT, STATION_FAT = (
    Role.IMAGE,
    Role.STATION,
    Role.WATER,
    Role.FAT,
    Role.STATION_FAT,
)
#: A tilted normal: by a degree, more than headers are rounded.
TILT = np.deg2rad(1.0)


@dataclass(frozen=True, eq=False)
class Placed:
    """A stack as the rule sees it."""

    facts: StackFacts
    grid: Grid


def heights(start, count=20, step=4.0):
    """Heights of the slices of one station."""
    return tuple(start + step * number for number in range(count))


def station(start, name="1", *, count=20, step=4.0, shift=(0.0, 0.0), grid=None, **changes):
    """A station of 20 slices of 64 x 64 pixels of 4 mm from the given height."""
    usual = {"rows": 64, "columns": 64, "spacing": (4.0, 4.0), "offsets": heights(start, count, step)}
    found = make.grid(**{**usual, **(grid or {})})
    origins = found.origins_mm + np.array([*shift, 0.0])
    values = {"series_uid": f"1.2.1.{name}", "region": "unknown", "sop_instance_uids": (name,), **changes}
    return Placed(
        make.facts(**{"slices": count, **values}),
        replace(found, origins_mm=origins),
    )


def sets(*stacks):
    """Roles and series of each input set."""
    return [
        [(role, stack.facts.series_uid[6:]) for role, stack in found.stacks]
        for found in find_input_sets(stacks)
    ]


def alone(*names):
    return [[(IMAGE, name)] for name in names]


LOW, MIDDLE, HIGH = station(0, "1"), station(72, "2"), station(144, "3")


@pytest.mark.parametrize("order", list(permutations((LOW, MIDDLE, HIGH))))
def test_stations_that_overlap_are_one_set_from_caudal_to_cranial(order):
    assert sets(*order) == [[(IMAGE, "1"), (STATION, "2"), (STATION, "3")]]


@pytest.mark.parametrize(
    ("other", "together"),
    [
        (station(80, "2"), True),
        (station(76 + 6, "2"), True),
        (station(76 + 6.1, "2"), False),
        (station(38.1, "2"), True),
        (station(37.9, "2"), False),
        (station(20, "2", count=6), False),
        (station(80, "2", count=4), False),
        (station(80, "2", step=6.0), True),
        (station(72, "2", grid={"rows": 60, "columns": 48}), True),
        (station(72, "2", grid={"spacing": (4.03, 4.0)}), True),
        (station(72, "2", grid={"spacing": (4.1, 4.0)}), False),
        (station(72, "2", shift=(60.0, 0.0)), True),
        (station(72, "2", shift=(50.0, 50.0)), False),
        (station(72, "2", grid={"row_direction": (0.0, np.cos(TILT), np.sin(TILT))}), False),
        (station(72, "2", contrast="t1"), False),
        (station(72, "2", dixon_part="in_phase"), False),
        (station(72, "2", study_uid="1.3"), False),
        (station(72, "2", modality="CT"), False),
        (station(72, "2", frame_of_reference_uid="1.2.10"), False),
        (station(72, "2", frame_of_reference_uid=None), False),
        (station(72, "2", derived=True), False),
        (station(72, "2", localizer=True), False),
        (station(72, "2", lossy=True), False),
        (station(72, "2", plane="oblique"), False),
        (station(72, "2", region="lumbar"), True),
    ],
)
def test_a_station_belongs_to_another_only_where_nothing_speaks_against_it(other, together):
    expected = [[(IMAGE, "1"), (STATION, "2")]] if together else alone("1", "2")
    assert sets(LOW, other) == expected


def test_stations_without_a_frame_of_reference_are_not_put_together():
    nowhere = [
        station(start, str(number), frame_of_reference_uid=None) for number, start in ((1, 0), (2, 72))
    ]
    assert sets(*nowhere) == alone("1", "2")


def test_stations_of_one_scan_have_one_key_and_what_can_be_none_has_none():
    assert scan_key(LOW.facts) == scan_key(MIDDLE.facts) is not None
    assert scan_key(replace(LOW.facts, contrast="t1")) != scan_key(LOW.facts)
    assert scan_key(replace(LOW.facts, frame_of_reference_uid=None)) is None


def test_stations_of_different_regions_are_judged_by_themselves():
    found = [
        station(0, "1", region="lumbar"),
        station(72, "2", region="thoracic"),
        station(144, "3", region="cervical"),
    ]
    assert sets(*found) == alone("1", "2", "3")
    assert all(each.unpaired is None for each in find_input_sets(found))


def test_one_station_of_no_region_does_not_join_two_that_differ():
    found = [station(0, "1", region="lumbar"), MIDDLE, station(144, "3", region="thoracic")]
    assert sets(*found) == alone("1", "2", "3")
    assert [each.unpaired for each in find_input_sets(found)] == [AMBIGUOUS] * 3


@pytest.mark.parametrize("series", [("1", "2", "3", "4"), ("1", "1", "1", "1")])
def test_a_repeated_station_leaves_all_of_them_apart_and_says_so(series):
    stations = [station(start, name) for start, name in zip((0, 72, 74, 144), series, strict=True)]
    assert [each.unpaired for each in find_input_sets(stations)] == [AMBIGUOUS] * 4


def test_a_repetition_in_a_series_of_its_own_leaves_the_scan_of_the_other_series_whole():
    scan = [station(start, "1") for start in (0, 72, 144)]
    again = station(74, "4")
    assert sets(*scan, again) == [[(IMAGE, "1"), (STATION, "1"), (STATION, "1")], [(IMAGE, "4")]]


def test_where_stations_of_two_series_lie_at_one_place_those_of_each_series_are_put_together():
    before = [station(start, "1", stack=number) for number, start in enumerate((0, 72))]
    after = [station(start + 1, "2", stack=number) for number, start in enumerate((0, 72))]
    assert sets(*before, *after) == [[(IMAGE, "1"), (STATION, "1")], [(IMAGE, "2"), (STATION, "2")]]


def test_a_repeated_stack_alone_is_no_station():
    assert sets(LOW, station(0, "2")) == alone("1", "2")


def test_two_scans_with_a_gap_between_them_are_two_sets():
    found = sets(LOW, MIDDLE, station(300, "3"), station(372, "4"))
    assert found == [[(IMAGE, "1"), (STATION, "2")], [(IMAGE, "3"), (STATION, "4")]]


def test_a_stack_that_touches_two_others_that_touch_each_other_is_no_chain():
    bridge = station(70, "9", count=5, step=3.0)
    assert sets(LOW, MIDDLE, bridge) == alone("1", "2", "9")


def dixon(part, start, name):
    acquired = Acquisition(
        time=datetime(2026, 3, 1, 10, 15, int(name) // 10, tzinfo=UTC), series_number=int(name)
    )
    return station(start, name, contrast=part, dixon_part=part, acquisition=acquired)


def test_each_station_of_a_dixon_scan_keeps_its_fat_image_behind_it():
    found = find_input_sets(
        [dixon("water", 72, "21"), dixon("fat", 0, "2"), dixon("water", 0, "1"), dixon("fat", 72, "22")]
    )
    (whole,) = found
    assert [(role, stack.facts.series_uid[6:]) for role, stack in whole.stacks] == [
        (WATER, "1"),
        (FAT, "2"),
        (STATION, "21"),
        (STATION_FAT, "22"),
    ]
    assert whole.fat.facts.series_uid == "1.2.1.2"
    assert [(each.role, each.fat.facts.series_uid[6:]) for each in whole.stations] == [
        (WATER, "2"),
        (WATER, "22"),
    ]
    assert whole.evidence == "same acquisition time 10:15:00; same acquisition time 10:15:02"
    again = set_again(whole.stacks)
    assert (again.stacks, again.evidence) == (whole.stacks, whole.evidence)


def test_a_station_without_its_fat_image_stays_apart_from_pairs():
    found = sets(dixon("water", 0, "1"), dixon("fat", 0, "2"), dixon("water", 72, "21"))
    assert found == [[(WATER, "1"), (FAT, "2")], [(IMAGE, "21")]]


def test_a_set_of_one_stack_is_its_own_only_station():
    (found,) = find_input_sets([LOW])
    assert found.stations == (found,)
    assert found.fat is None


def test_the_stations_of_a_set_are_sets_of_their_own():
    (found,) = find_input_sets([LOW, MIDDLE])
    assert [(each.role, each.first) for each in found.stations] == [(IMAGE, LOW), (IMAGE, MIDDLE)]


# What counts where stations overlap.


def counted(*grids):
    return [share.heights_mm[share.counted].tolist() for share in count_once(grids)]


def test_slices_at_the_same_places_count_in_the_station_in_which_they_lie_farther_inside():
    low, high = make.grid(offsets=heights(0, 10)), make.grid(offsets=heights(24, 10))
    # They share 24 to 36 mm; the plane is at 30.
    assert counted(low, high) == [list(heights(0, 8)), list(heights(32, 8))]


def test_a_slice_on_the_plane_counts_once():
    low, high = make.grid(offsets=heights(0, 10)), make.grid(offsets=heights(28, 10))
    # They share 28 to 36 mm; the plane is at 32, where both have a slice.
    assert counted(low, high) == [list(heights(0, 9)), list(heights(36, 8))]


def test_stations_that_touch_count_whole():
    low, high = make.grid(offsets=heights(0, 5)), make.grid(offsets=heights(22, 5))
    shares = count_once([low, high])
    assert [share.extents_mm.tolist() for share in shares] == [[4, 4, 4, 4, 5], [5, 4, 4, 4, 4]]


@pytest.mark.parametrize("offset", [0.0, 0.5, 1.0, 1.9, 2.0, 2.1, 3.0, 3.9])
@pytest.mark.parametrize("step", [4.0, 6.0])
def test_every_length_counts_once_wherever_the_slices_lie(offset, step):
    grids = [make.grid(offsets=heights(0, 20)), make.grid(offsets=heights(60 + offset, 20, step))]
    shares = count_once(grids)
    ends = shares[0].heights_mm[0] - 2.0, shares[1].heights_mm[-1] + step / 2
    assert sum(share.extents_mm.sum() for share in shares) == pytest.approx(ends[1] - ends[0])
    places = np.concatenate([share.heights_mm[share.counted] for share in shares])
    steps = np.diff(places)
    assert steps.min() >= 2.0 - 0.05
    assert steps.max() <= 1.5 * step + 0.05


def test_slices_stored_from_head_to_foot_count_alike():
    down = make.grid(offsets=heights(24, 10)[::-1], row_direction=(0.0, -1.0, 0.0))
    assert counted(make.grid(offsets=heights(0, 10)), down) == [
        list(heights(0, 8)),
        list(heights(32, 8))[::-1],
    ]


def test_facts_of_several_stations_are_of_all_that_counts():
    named = station(72, "2", region="lumbar", largest_gap_ratio=1.2)
    found = composed_facts([LOW, named])
    # 0 to 148 mm in steps of 4 mm, and half a step at each end.
    assert (found.slices, found.coverage_mm, found.largest_gap_ratio) == (38, pytest.approx(152.0), 1.2)
    assert found.region == "unknown"
    assert found.region_evidence == "the stations do not all name one region"
    assert found.sop_instance_uids == ("1", "2")


def test_facts_of_stations_that_name_one_region_keep_it_with_its_evidence():
    both = [replace_facts(each, region="lumbar") for each in (LOW, MIDDLE)]
    assert (composed_facts(both).region, composed_facts(both).region_evidence) == (
        "lumbar",
        "BodyPartExamined=LSPINE",
    )


def test_a_contrast_agent_in_one_station_is_one_in_all():
    """The agent comes before the station that is taken last, mostly not the most caudal one."""
    later = replace_facts(MIDDLE, contrast_agent="ContrastBolusAgent=Gd")
    assert composed_facts([LOW, later]).contrast_agent == "ContrastBolusAgent=Gd"


def replace_facts(placed, **changes):
    return Placed(replace(placed.facts, **changes), placed.grid)


def test_the_facts_of_one_stack_are_its_own():
    assert composed_facts([LOW]) is LOW.facts


# Volumes of a body that is known by its formula.

LENGTH_MM, STEP_MM, RADIUS_MM = 720.0, 3.0, 30.0


def cylinders(
    offsets, *, rows=80, columns=150, pixel_mm=1.0, middle=(0.0, 0.0), left_scale=0.8, turned=False
):
    """Two upright cylinders left and right of the middle, cut at these heights.

    The left one is thinner, so that exchanged sides show. A core of each is fat.
    """
    row, column = np.mgrid[:rows, :columns]
    x = middle[0] + (column - (columns - 1) / 2) * pixel_mm
    y = middle[1] + (row - (rows - 1) / 2) * pixel_mm
    labels = np.zeros((rows, columns), np.uint8)
    for side, lean, fat, scale in (
        (40.0, Label.LEAN_LEFT, Label.IMAT_LEFT, left_scale),
        (-40.0, Label.LEAN_RIGHT, Label.IMAT_RIGHT, 1.0),
    ):
        radius = np.hypot(x - side, y)
        labels[radius <= RADIUS_MM * scale] = lean
        labels[radius <= RADIUS_MM * scale / 3] = fat
    grid = make.grid(
        offsets=tuple(offsets),
        rows=rows,
        columns=columns,
        spacing=(pixel_mm, pixel_mm),
        column_direction=(-1.0, 0.0, 0.0) if turned else (1.0, 0.0, 0.0),
    )
    corner = np.array([-x[0, 0] if turned else x[0, 0], y[0, 0], 0.0])
    if turned:
        labels = labels[:, ::-1]
        corner[0] = x[0, -1]
    return Mask(
        labels=np.stack([labels] * len(grid.origins_mm)),
        grid=replace(grid, origins_mm=grid.origins_mm + corner),
        fat_separated=True,
    )


def composed(masks):
    shares = count_once([each.grid for each in masks])
    return counted_once([contents_of(each) for each in masks], shares)


def four_stations(offset_mm, **changes):
    """Four stations of 70 slices, 63 slices apart, each moved by so much more than the one before."""
    return [
        cylinders(np.arange(70) * STEP_MM + number * (63 * STEP_MM + offset_mm), **changes)
        for number in range(4)
    ]


def truth_ml(height_mm, *, scale=1.0):
    return np.pi * (RADIUS_MM * scale) ** 2 * height_mm / 1000.0


@pytest.mark.parametrize("offset_mm", [0.0, 0.4, 1.5, 2.9])
def test_four_overlapping_stations_have_the_volumes_of_the_body_itself(offset_mm):
    stations = four_stations(offset_mm)
    height = (3 * 63 + 70) * STEP_MM + 3 * offset_mm
    found = measure_contents(composed(stations), height_m=None)
    assert found.left.compartment_ml == pytest.approx(truth_ml(height, scale=0.8), rel=0.005)
    assert found.right.compartment_ml == pytest.approx(truth_ml(height), rel=0.005)
    whole = cylinders(np.arange(3 * 63 + 70) * STEP_MM)
    one = measure_contents(contents_of(whole), height_m=None)
    longer = height / (len(whole.labels) * STEP_MM)
    assert found.total.imat_ml == pytest.approx(one.total.imat_ml * longer, rel=1e-6)
    assert found.total.mean_csa_cm2 == pytest.approx(one.total.mean_csa_cm2, rel=1e-6)


def test_stations_of_another_matrix_turned_and_moved_aside_give_the_same_volumes_and_sides():
    first, second, third, fourth = (four_stations(0.0)[0], *four_stations(0.0, rows=90, columns=170)[1:])
    turned = four_stations(0.0, turned=True)[1]
    moved = four_stations(0.0, middle=(4.0, -6.0))[2]
    plain = measure_contents(composed(four_stations(0.0)), height_m=1.8)
    for stations in ([first, turned, third, fourth], [first, second, moved, fourth]):
        found = measure_contents(composed(stations), height_m=1.8)
        for side in ("left", "right", "total"):
            for measure in ("lmm_ml", "imat_ml", "compartment_ml"):
                assert getattr(getattr(found, side), measure) == pytest.approx(
                    getattr(getattr(plain, side), measure), rel=0.005
                )


def test_the_profile_runs_along_the_whole_axis():
    stations = four_stations(0.0)
    profile = measure_contents(composed(stations), height_m=None).profile
    positions = [point.position_mm for point in profile]
    assert positions == pytest.approx(np.arange(3 * 63 + 70) * STEP_MM)


def test_what_is_left_of_each_mask_adds_up_to_the_whole():
    stations = four_stations(0.0)
    shares = count_once([each.grid for each in stations])
    voxel_ml = STEP_MM / 1000.0
    left = [trimmed(mask, share) for mask, share in zip(stations, shares, strict=True)]
    found = measure_contents(composed(stations), height_m=None)
    voxels = sum(np.count_nonzero(np.isin(mask.labels, (1, 3))) for mask in left)
    assert voxels * voxel_ml == pytest.approx(found.left.compartment_ml, rel=1e-9)
    parts = [
        label_volumes_ml(counted_once([contents_of(mask)], [share]))
        for mask, share in zip(stations, shares, strict=True)
    ]
    assert sum(part[Label.IMAT_RIGHT] for part in parts) == pytest.approx(found.right.imat_ml, rel=1e-9)


def test_fat_that_one_station_cannot_tell_is_told_of_none():
    stations = four_stations(0.0)
    stations[2] = without_fat(stations[2])
    contents = composed([without_fat(each) for each in stations])
    found = measure_contents(contents, height_m=None)
    assert found.total.imat_ml is None
    assert found.right.compartment_ml == pytest.approx(truth_ml(259 * STEP_MM), rel=0.005)
    assert set(label_volumes_ml(contents)) == {Label.LEAN_LEFT, Label.LEAN_RIGHT}


def test_the_signal_fat_fraction_of_stations_weighs_what_counts():
    stations = four_stations(0.0)[:2]
    shares = count_once([each.grid for each in stations])
    fractions = (0.1, 0.3)
    parts = []
    for mask, fraction in zip(stations, fractions, strict=True):
        shape = mask.labels.shape
        images = (np.full(shape, 100.0 * part, np.float32) for part in (1 - fraction, fraction))
        water, fat = (Volume(values=values, grid=mask.grid) for values in images)
        parts.append(contents_of(mask, DixonVolume(water=water, fat=fat)))
    found = measure_contents(counted_once(parts, shares), height_m=None)
    lengths = [share.extents_mm.sum() for share in shares]
    assert found.total.fat_signal_fraction == pytest.approx(np.average(fractions, weights=lengths), rel=1e-6)
