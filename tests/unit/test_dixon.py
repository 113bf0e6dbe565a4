"""Which stacks are water and fat of one Dixon acquisition, and what their fat fraction says."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pydicom.dataset import Dataset

from service.core.compartment import Compartment
from service.core.dixon import PART_OF_SET, find_input_sets, is_lonely, relation
from service.core.inputset import InputSet
from service.core.measure import measure_muscles
from service.core.series import Acquisition, Role, StackFacts
from service.core.volume import Grid, Volume
from service.core.water_fat import DixonVolume, check_water_and_fat, is_fat
from service.dicom.headers import Attributes
from service.dicom.moments import first_acquired, series_began
from service.errors import NotAssessable
from tests.make import facts as make

T0 = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)
WATER, FAT, PART, IMAGE = Role.WATER, Role.FAT, Role.DIXON_PART, Role.IMAGE


@dataclass(frozen=True, eq=False)
class Placed:
    """A stack as the rule sees it."""

    facts: StackFacts
    grid: Grid


def stack(contrast, *, series="5", grid=None, part=..., acquired=None, **changes):
    """One stack of a Dixon acquisition at 10:15, number 1, in a series of its own number."""
    usual = {
        "time": T0,
        "numbers": ("1",),
        "series_time": T0,
        "series_number": int(series),
        "protocol": "t1_vibe_dixon_tra",
    }
    values = {
        "series_uid": f"1.2.1.{series}",
        "contrast": contrast,
        "dixon_part": contrast if part is ... else part,
        "acquisition": Acquisition(**{**usual, **(acquired or {})}),
        **changes,
    }
    return Placed(make.facts(**values), grid or make.grid())


def single(found):
    """The input set of one stack alone."""
    (alone,) = find_input_sets([found])
    return alone


def roles(*stacks):
    """The roles of each input set, in order."""
    return [tuple(role for role, _ in found.stacks) for found in find_input_sets(stacks)]


PAIR, ALONE = [(WATER, FAT)], [(IMAGE,), (IMAGE,)]
LATER = {"time": T0 + timedelta(minutes=2)}
NO_TIME = {"time": None}
NO_TIMES = {"time": None, "series_time": None}


@pytest.mark.parametrize(
    ("water", "fat", "expected"),
    [
        ({}, {}, PAIR),
        ({}, {"series": "6"}, PAIR),
        ({}, {"series": "9"}, PAIR),
        ({}, {"series": "6", "acquired": {"time": T0 + timedelta(seconds=1)}}, PAIR),
        ({}, {"series": "6", "acquired": LATER}, ALONE),
        ({}, {"acquired": LATER}, ALONE),
        ({}, {"series": "6", "acquired": {"numbers": ("2",)}}, ALONE),
        ({}, {"series": "6", "acquired": {"numbers": ()}}, PAIR),
        ({"acquired": NO_TIME}, {"series": "9"}, PAIR),
        ({"acquired": NO_TIMES}, {"series": "6"}, PAIR),
        ({"acquired": NO_TIMES}, {"series": "8"}, PAIR),
        ({"acquired": NO_TIMES}, {"series": "9"}, ALONE),
        ({"acquired": NO_TIMES}, {"series": "6", "acquired": {"protocol": "t2_tse"}}, ALONE),
        ({"acquired": {**NO_TIMES, "protocol": ""}}, {"series": "6", "acquired": {"protocol": ""}}, ALONE),
        ({"acquired": {**NO_TIMES, "series_number": None}}, {"series": "6"}, ALONE),
        (
            {"acquired": NO_TIME},
            {"series": "6", "acquired": {**NO_TIME, "series_time": LATER["time"]}},
            ALONE,
        ),
        ({}, {"study_uid": "1.2.2"}, ALONE),
        ({}, {"frame_of_reference_uid": "1.2.10"}, ALONE),
        ({"frame_of_reference_uid": None}, {"frame_of_reference_uid": None}, ALONE),
        ({}, {"lossy": True}, ALONE),
        ({"derived": True}, {}, ALONE),
        ({}, {"localizer": True}, ALONE),
        ({}, {"contrast": "opposed"}, ALONE),
    ],
)
def test_water_and_fat_are_one_input_set_where_they_are_of_one_acquisition(water, fat, expected):
    fat = {"contrast": "fat", **fat}
    assert roles(stack("water", **water), stack(**fat)) == expected


@pytest.mark.parametrize(
    ("grid", "same"),
    [
        (make.grid(offsets=(0.04, 10.04)), True),
        (make.grid(offsets=(0.06, 10.06)), False),
        (make.grid(offsets=(0.0, 10.0, 20.0)), False),
        (make.grid(spacing=(10.0, 10.005)), True),
        (make.grid(spacing=(10.0, 10.02)), False),
        (make.grid(column_direction=(1.0, 0.002, 0.0)), False),
        (make.grid(row_direction=(0.0, 1.0, 0.002)), False),
        (make.grid(rows=5), False),
    ],
)
def test_the_grids_of_a_pair_are_the_same_within_the_rounding_of_headers(grid, same):
    found = roles(stack("water"), stack("fat", series="6", grid=grid))
    assert found == (PAIR if same else ALONE)


@pytest.mark.parametrize(
    ("water", "fat", "evidence"),
    [
        ({}, {}, "same series, AcquisitionNumber=1"),
        ({}, {"series": "6"}, "same acquisition time 10:15:00, AcquisitionNumber=1"),
        (
            {"acquired": {**NO_TIME, "numbers": ()}},
            {"series": "9"},
            "same SeriesTime 10:15:00",
        ),
        (
            {"acquired": NO_TIMES},
            {"series": "6"},
            "same ProtocolName, series numbers 5 and 6, AcquisitionNumber=1",
        ),
    ],
)
def test_the_evidence_is_kept_in_words(water, fat, evidence):
    (found,) = find_input_sets([stack("water", **water), stack("fat", **fat)])
    assert found.evidence == evidence
    assert (found.role, found.fat is not None) == (WATER, True)


def test_other_images_of_the_acquisition_are_parts_of_the_set():
    found = find_input_sets(
        [
            stack("in_phase", series="7"),
            stack("water"),
            stack("fat", series="6"),
            stack("opposed", series="8"),
            stack("fat_fraction", series="8"),
            # The in-phase image of a Dixon turbo spin echo is a T2 image by its contrast.
            stack("t2_tse", part="in_phase", series="9"),
            stack("in_phase", series="10", acquired=LATER),
            stack("t2_tse", part=None, series="11"),
        ]
    )
    assert [each.role for each in found] == [PART, WATER, PART, PART, PART, IMAGE, IMAGE]
    assert PART_OF_SET.code == "part_of_dixon_set"


def test_two_acquisitions_in_one_series_are_two_pairs():
    stacks = [
        stack(contrast, acquired={"time": T0 + timedelta(minutes=n), "numbers": (str(n),)})
        for n in (1, 2)
        for contrast in ("water", "fat")
    ]
    found = find_input_sets(stacks)
    assert [[stacks.index(each) for _, each in one.stacks] for one in found] == [[0, 1], [2, 3]]


def test_the_surer_partner_is_taken():
    water, own, other = stack("water"), stack("fat"), stack("fat", series="6")
    found = find_input_sets([other, water, own])
    assert [(each.role, each.first) for each in found] == [(IMAGE, other), (WATER, water)]
    assert found[1].fat is own
    assert found[0].unpaired.code == "ambiguous_dixon_pair"


@pytest.mark.parametrize("contrasts", [("water", "fat", "fat"), ("water", "water", "fat")])
def test_several_partners_alike_make_no_pair_and_the_reason_is_named(contrasts):
    found = find_input_sets([stack(c, series=str(5 + n)) for n, c in enumerate(contrasts)])
    assert {each.role for each in found} == {IMAGE}
    assert {each.unpaired.code for each in found} == {"ambiguous_dixon_pair"}


def test_a_stack_without_partners_has_no_reason_to_name():
    assert [each.unpaired for each in find_input_sets([stack("water"), stack("t1", part=None)])] == [None] * 2


def test_only_dixon_parts_without_their_pair_are_lonely():
    water, fat, inner = stack("water"), stack("fat", series="6"), stack("in_phase", series="7")
    assert [is_lonely(each) for each in find_input_sets([water, inner])] == [True, True]
    assert [is_lonely(each) for each in find_input_sets([water, fat, inner])] == [False, False]
    assert not is_lonely(single(stack("t2_tse", part=None)))


def test_the_rule_does_not_depend_on_the_order_in_which_it_is_asked():
    water, fat = stack("water"), stack("fat", series="6")
    assert relation(water, fat) == relation(fat, water)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"AcquisitionDate": "20260301", "AcquisitionTime": "101500"}, T0),
        ({"AcquisitionDateTime": "20260301101500", "AcquisitionTime": "090000"}, T0),
        ({"AcquisitionDateTime": "20260301", "AcquisitionDate": "20260301", "AcquisitionTime": "101500"}, T0),
        # Dates are taken out more often than times, and times alone still tell two acquisitions apart.
        ({"StudyDate": "20260301", "AcquisitionTime": "101500"}, T0),
        ({"AcquisitionTime": "101500"}, datetime(1970, 1, 1, 10, 15, tzinfo=UTC)),
        # A time of day that makes no sense is not the same as another one.
        ({"AcquisitionDate": "20260301", "AcquisitionTime": "unknown"}, None),
        ({"AcquisitionDate": "20260301"}, None),
        ({}, None),
    ],
)
def test_the_time_of_an_acquisition_is_what_the_headers_tell_of_it(header, expected):
    image = Dataset()
    for keyword, value in header.items():
        image.add_new(keyword, "LO", value)
    assert first_acquired([Attributes((image,))]) == expected
    series = {key.replace("Acquisition", "Series"): value for key, value in header.items()}
    if "SeriesDateTime" not in series:
        image = Dataset()
        for keyword, value in series.items():
            image.add_new(keyword, "LO", value)
        assert series_began(Attributes((image,))) == expected


# The fat fraction

GRID = make.grid(rows=40, columns=40, offsets=(0.0, 4.0), spacing=(2.0, 2.0))


def volume(values, grid=GRID):
    return Volume(values=np.broadcast_to(np.asarray(values, np.float32), grid.shape).copy(), grid=grid)


def pair(water, fat):
    return DixonVolume(water=volume(water), fat=volume(fat))


def test_a_voxel_is_imat_where_more_than_half_of_its_signal_is_fat():
    fat = np.zeros(GRID.shape)
    fat[0, 0, :4] = 99.0, 100.0, 101.0, -50.0
    water = np.full(GRID.shape, 100.0)
    water[0, 0, 4:6] = 0.0, -3.0
    compartment = np.full(GRID.shape, Compartment.LEFT, np.uint8)
    compartment[0, 1] = Compartment.BACKGROUND
    images = pair(water, fat)
    assert np.argwhere(is_fat(images, compartment)).tolist() == [[0, 0, 2]]
    assert images.fraction[0, 0, :6].tolist() == pytest.approx([99 / 199, 0.5, 101 / 201, 0, 0, 0])
    assert images.in_phase.values[0, 0, 3] == 100.0


def test_images_of_other_sizes_are_no_pair():
    other = volume(0.0, make.grid(rows=3, columns=3))
    with pytest.raises(NotAssessable) as error:
        DixonVolume(water=volume(1.0), fat=other)
    assert error.value.reason.code == "shape_mismatch"


def test_the_signal_fat_fraction_is_weighted_by_signal():
    """Left: 30 of 100 and 30 of 300 are 60 of 400; a mean of fractions would give 0.2."""
    labels = np.zeros((2, 2, 2), np.uint8)
    labels[0, 0] = 1, 3
    labels[1, 1, 0] = 2
    mask = make.mask(labels)
    water, fat = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)
    water[0, 0], fat[0, 0] = (70.0, 270.0), (30.0, 30.0)
    water[1, 1, 0], fat[1, 1, 0] = 100.0, 100.0
    fat[0, 1] = 1000.0
    images = DixonVolume(water=Volume(values=water, grid=mask.grid), fat=Volume(values=fat, grid=mask.grid))
    measures = measure_muscles(mask, height_m=None, dixon=images)
    assert measures.left.fat_signal_fraction == pytest.approx(60 / 400)
    assert measures.right.fat_signal_fraction == pytest.approx(0.5)
    assert measures.total.fat_signal_fraction == pytest.approx(160 / 600)
    assert measure_muscles(mask, height_m=None).total.fat_signal_fraction is None


def test_a_side_without_signal_has_no_signal_fat_fraction():
    mask = make.mask(np.ones((2, 2, 2)))
    empty = Volume(values=np.zeros((2, 2, 2), np.float32), grid=mask.grid)
    measures = measure_muscles(mask, height_m=None, dixon=DixonVolume(water=empty, fat=empty))
    assert measures.left.fat_signal_fraction is None
    assert measures.right.fat_signal_fraction is None


def trunk(muscle=0.1, beneath_skin=0.92, left=None):
    """A block of body with two muscles and fat behind them: fraction, total signal, compartment."""
    fraction = np.full(GRID.shape, beneath_skin, np.float32)
    total = np.zeros(GRID.shape, np.float32)
    total[:, 4:36, 4:36] = 100.0
    compartment = np.zeros(GRID.shape, np.uint8)
    compartment[:, 16:24, 8:18] = Compartment.RIGHT
    compartment[:, 16:24, 22:32] = Compartment.LEFT
    fraction[compartment > 0] = muscle
    if left is not None:
        fraction[compartment == Compartment.LEFT] = left
    return fraction, total, compartment


def check(fraction, total, compartment):
    return check_water_and_fat(fraction, total, compartment, (2.0, 2.0), (3.0, 20.0))


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({"muscle": 0.9, "beneath_skin": 0.08}, False),
        ({"left": 0.9}, False),
        ({"muscle": 0.29, "beneath_skin": 0.71}, True),
        ({"muscle": 0.31}, False),
        ({"beneath_skin": 0.69}, False),
    ],
)
def test_exchanged_or_misscaled_images_are_found(changes, passed):
    found = check(*trunk(**changes))
    assert (found.check, found.passed) == ("water_fat_swap", passed)
    assert ("exchanged" in found.detail) is not passed


def test_a_muscle_that_is_more_than_half_fat_is_no_exchange():
    fraction, total, compartment = trunk()
    fraction[:, 16:22][compartment[:, 16:22] > 0] = 0.85
    assert is_fat_share(fraction, compartment) == 0.75
    fraction[:, 21:22][compartment[:, 21:22] > 0] = 0.1
    assert check(fraction, total, compartment).passed


def is_fat_share(fraction, compartment):
    return float((fraction[compartment > 0] > 0.5).mean())


def test_where_no_skin_is_in_view_muscle_alone_is_judged():
    fraction, total, compartment = trunk()
    compartment[:, 16:24, 8:32] = np.where(np.arange(8, 32) < 20, Compartment.RIGHT, Compartment.LEFT)
    fraction[compartment > 0] = 0.1
    total[:, 24:] = 0.0
    compartment[1] = Compartment.BACKGROUND
    found = check(fraction, total, compartment)
    assert found.passed
    assert "no subcutaneous fat in view" in found.detail


def test_one_side_alone_is_judged_by_itself():
    fraction, total, compartment = trunk()
    compartment[compartment == Compartment.RIGHT] = Compartment.BACKGROUND
    assert "0.10 (left" in check(fraction, total, compartment).detail


def test_an_input_set_of_one_image_has_no_fat():
    alone = single(stack("t2_tse", part=None))
    assert isinstance(alone, InputSet)
    assert (alone.role, alone.fat, alone.evidence) == (IMAGE, None, "")


def test_a_part_may_be_named_by_its_contrast_alone():
    """An opposed-phase gradient echo that no header calls Dixon is of the acquisition all the same."""
    opposed = stack("opposed", part=None, series="7")
    found = find_input_sets([stack("water"), stack("fat", series="6"), opposed])
    assert [each.role for each in found] == [WATER, PART]
    assert not is_lonely(single(opposed))
