"""Short stacks are measured for areas and shares, under a definition of their own."""

from dataclasses import replace

import pytest

from service.core import wording
from service.core.blocks import LEAST_DISTANCE_MM, is_of_block, label, of_block, places
from service.core.change import compare, read_earlier
from service.core.eligibility import is_block, reasons_not_eligible
from service.core.language import GERMAN_WORDS
from service.core.mask import Label
from service.core.measure import measure_muscles
from service.core.norms import Repeatability
from service.core.risk import FlagRule, Policy
from service.core.scoring import Yardsticks, score_measures
from service.core.series import BlockPlace
from service.errors import ModelMismatch
from service.inference.card import read_card
from service.pictures.content import measure_rows
from service.pipeline.references import bundled_models_dir
from tests.make.facts import DEFINITION, facts, mask, norm, use
from tests.make.results import finding
from tests.unit.test_pictures import a_mask

LL, LR, FL, FR = (int(label) for label in Label if label)
BLOCKS = use(min_coverage_mm=35.0, min_block_slices=3)
#: 1 cm2 pixels; in each slice left 3 cm2 lean and 1 fat, right 1 lean and 1 fat.
BLOCK_MASK = mask([[[LL, LL, LL, FL], [LR, FR, 0, 0]]] * 3)
POLICY = Policy(
    id="p",
    version="1",
    rules=(
        FlagRule(
            code="imat_high",
            measure="imat_fraction",
            direction="above",
            z_threshold=1.0,
            sexes=("M",),
            text="High",
            evidence="none",
        ),
    ),
    quadrant_measures=("imat_fraction", "lmm_height_index_ml_m2"),
)
YARDSTICKS = Yardsticks(
    norms=(norm(),),
    policy=POLICY,
    repeatability={"t2_tse": Repeatability(imat_fraction_sd=0.01, lmm_cv=0.01)},
)


@pytest.mark.parametrize(
    ("slices", "coverage_mm", "block"),
    [(3, 13.2, True), (4, 60.0, True), (5, 22.0, True), (5, 35.0, False), (20, 80.0, False)],
)
def test_few_slices_or_little_coverage_make_a_block(slices, coverage_mm, block):
    short = facts(slices=slices, coverage_mm=coverage_mm)
    assert is_block(short, BLOCKS) is block
    assert reasons_not_eligible(short, BLOCKS) == ()


@pytest.mark.parametrize("slices", [1, 2])
def test_one_or_two_slices_are_no_block(slices):
    found = reasons_not_eligible(facts(slices=slices, coverage_mm=8.0), BLOCKS)
    assert [reason.code for reason in found] == ["too_few_slices"]
    assert "fewer than 3" in found[0].text


def test_a_card_that_names_no_blocks_measures_none():
    silent = use(min_coverage_mm=35.0)
    assert not is_block(facts(slices=4), silent)
    few, short = (
        reasons_not_eligible(stack, silent) for stack in (facts(slices=4), facts(slices=5, coverage_mm=22.0))
    )
    assert [reason.code for reason in (*few, *short)] == ["too_few_slices"] * 2
    assert short[0].text == "The slices cover 22 mm; a volume needs 35."


def test_a_block_is_held_to_every_other_limit():
    tilted = facts(slices=4, coverage_mm=17.6, tilt_degrees=34.0)
    assert [reason.code for reason in reasons_not_eligible(tilted, BLOCKS)] == ["tilted"]


def test_the_card_that_ships_measures_blocks_of_three_slices_and_more():
    shipped = read_card(bundled_models_dir() / "paraspinal").intended_use
    assert (shipped.min_block_slices, shipped.min_slices, shipped.min_coverage_mm) == (3, 5, 35.0)


def test_a_card_whose_blocks_are_longer_than_its_volumes_is_refused(tmp_path):
    text = (bundled_models_dir() / "paraspinal" / "card.toml").read_text("utf-8")
    (tmp_path / "card.toml").write_text(text.replace("min_block_slices = 3", "min_block_slices = 6"), "utf-8")
    with pytest.raises(ModelMismatch, match="min_block_slices"):
        read_card(tmp_path)


def test_a_block_has_areas_and_shares_and_no_volume():
    found = measure_muscles(BLOCK_MASK, height_m=1.8, volumes=False)
    for side in (found.left, found.right, found.total):
        assert (side.compartment_ml, side.lmm_ml, side.imat_ml) == (None, None, None)
    assert (found.left.mean_csa_cm2, found.left.mean_lean_csa_cm2) == pytest.approx((4.0, 3.0))
    assert (found.left.imat_fraction, found.right.imat_fraction) == pytest.approx((0.25, 0.5))
    assert found.total.imat_fraction == pytest.approx(2 / 6)
    assert found.lmm_height_index_ml_m2 is None
    assert found.asymmetry.compartment_ml is None
    assert found.asymmetry.imat_fraction == pytest.approx((0.25 - 0.5) / 0.75)
    assert [point.left_lean_cm2 for point in found.profile] == [3.0] * 3


def test_the_table_of_a_block_leaves_out_what_needs_a_volume():
    measures = measure_muscles(BLOCK_MASK, height_m=1.8, volumes=False)
    assert [row.name for row in measure_rows(measures)] == [
        "IMAT share of compartment",
        "Mean cross-section",
        "Mean lean cross-section",
    ]


def scored(definition, *, volumes):
    measures = measure_muscles(BLOCK_MASK, height_m=1.8, volumes=volumes)
    made = finding(a_mask())
    series = replace(made.series, coverage_mm=80.0)
    return score_measures(
        replace(made, definition=definition, measures=measures, series=series), facts(), YARDSTICKS
    )


def test_no_table_of_volumes_scores_a_block():
    whole, block = scored(DEFINITION, volumes=True), scored(of_block(DEFINITION), volumes=False)
    assert [score.state for score in whole.scores] == ["scored", "no_norm"]
    assert [score.state for score in block.scores] == ["no_norm", "no_norm"]
    share, index = block.scores
    assert "paraspinal-two-class-block@1" in share.reason
    assert share.reason.endswith("A block of slices has a definition of its own.")
    assert share.value_ci95 is None
    assert index.reason == "A block of slices has no volume, so there is nothing to score."
    assert [flag.state for flag in block.flags] == ["not_evaluable"]
    assert block.quadrant is None


def test_a_missing_height_is_not_why_a_block_has_no_index():
    measures = measure_muscles(BLOCK_MASK, height_m=None, volumes=False)
    made = replace(finding(a_mask()), definition=of_block(DEFINITION), measures=measures)
    unknown = facts(person=replace(facts().person, height_m=None))
    assert score_measures(made, unknown, YARDSTICKS).scores[1].state == "no_norm"


def test_a_signal_fraction_of_a_block_is_not_scored_by_the_table_of_stacks():
    table = norm(measure="fat_signal_fraction", definitions=("dixon-signal-fat-fraction@1",), networks=())
    measures = measure_muscles(BLOCK_MASK, height_m=1.8, volumes=False)
    signal = replace(measures, total=replace(measures.total, fat_signal_fraction=0.2))
    made = replace(finding(a_mask()), definition=of_block(DEFINITION), measures=signal)
    found = score_measures(made, facts(), replace(YARDSTICKS, norms=(table,))).scores[2]
    assert (found.measure, found.state) == ("fat_signal_fraction", "no_norm")
    assert "-block@" in found.reason


def test_two_blocks_are_not_compared_over_time():
    """Nothing tells that they lie at one level; two whole stacks of the same kind are compared."""
    made = finding(a_mask())
    whole = replace(made, series=replace(made.series, scanner="MAKER Model 1.5 T"))
    block = replace(whole, definition=of_block(whole.definition))
    assert compare(whole, read_earlier(whole.as_dict(), days=9), None) is not None
    assert read_earlier(block.as_dict(), days=9) is None
    assert compare(block, read_earlier(whole.as_dict(), days=9), None) is None


def test_the_definition_of_a_block_tells_itself():
    block = of_block(DEFINITION)
    assert (block.id, block.version) == ("paraspinal-two-class-block", "1")
    assert is_of_block(block.id)
    assert not is_of_block(DEFINITION.id)


def test_blocks_are_counted_from_the_feet():
    found = places([40.0, -30.0, 5.0])
    assert [place.number for place in found] == [3, 1, 2]
    assert {place.of for place in found} == {3}


def test_blocks_that_lie_too_near_to_each_other_have_no_number():
    near = [0.0, 40.0, 40.0 + LEAST_DISTANCE_MM - 0.1]
    assert [place.number for place in places(near)] == [None] * 3
    assert [place.of for place in places(near)] == [3] * 3


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (BlockPlace(number=2, of=5), "block 2/5"),
        (BlockPlace(number=None, of=5), "stack 4"),
        (BlockPlace(), "block"),
    ],
)
def test_the_objects_of_a_block_are_told_apart_in_few_letters(place, expected):
    assert label(place, 3) == expected


def test_the_heading_of_a_block_says_that_it_has_no_volume():
    series = replace(finding(a_mask()).series, slices=4, block=BlockPlace(number=2, of=5))
    heading = "Measures: block 2 of 5 from the caudal end, 4 slices, no volume"
    assert wording.measures_title(series) == heading
    german = wording.measures_title(replace(series, block=BlockPlace()), GERMAN_WORDS)
    assert german == "Messwerte: Block, 4 Schichten, kein Volumen"
    assert wording.measures_title(replace(series, block=None)) == "Measures"
    assert wording.measures_title(None) == "Measures"
