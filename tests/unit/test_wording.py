from dataclasses import replace

from service.core import wording
from service.core.finding import (
    AutomaticTotals,
    Change,
    Definition,
    Difference,
    Edited,
    Finding,
    QualityCheck,
    SegmentAgreement,
    SeriesInput,
    SeriesSection,
)
from service.core.language import GERMAN_WORDS
from service.pictures.content import provenance_lines
from tests.make.facts import scored


def a_finding(**changes):
    """One without numbers."""
    nothing = dict.fromkeys(("definition", "series", "person", "measures", "quadrant", "model", "policy"))
    lists = dict.fromkeys(("reasons", "scores", "flags", "quality", "norms"), ())
    return Finding(**{**nothing, **lists, "status": "not_assessable", "software": "myoscreen 1", **changes})


def check(name, *, passed=True):
    return QualityCheck(check=name, passed=passed, detail="")


def test_an_estimate_that_was_not_given_counts_as_no_check():
    checks = (check("both_sides_found"), check("predicted_dice"))
    assert wording.quality_sentence(checks) == "All 1 quality checks passed"


def test_an_estimate_that_was_given_counts_as_a_check():
    low = QualityCheck(check="predicted_dice", passed=False, detail="", predicted_dice=0.6)
    found = wording.quality_sentence((check("both_sides_found"), low))
    assert found == "1 of 2 quality checks not passed: predicted dice"


def test_checks_that_failed_are_named():
    checks = (check("a"), check("plausible_area", passed=False))
    assert wording.quality_sentence(checks) == "1 of 2 quality checks not passed: plausible area"
    assert wording.quality_sentence(()) == "No quality checks recorded"


def test_a_score_says_where_it_stands_or_why_it_does_not():
    assert wording.score_sentence(scored("fat", 1.0)) == (
        "z +1.00 [+0.70 to +1.30]; reference table table@1 (provisional: not validated for this measurement)"
    )
    with_percentile = replace(scored("fat", 1.0), percentile=84.0, z_ci95=None)
    assert wording.score_sentence(with_percentile).startswith("z +1.00, percentile 84; ")
    assert wording.score_sentence(scored("fat", None)) == "not compared: No table"


def test_what_counts_as_muscle_is_told_as_the_card_says_it_where_it_is_not_known():
    definition = Definition(
        id="d", version="1", network="n@1", boundary_rule="All red meat.", fat_method=None
    )
    assert wording.boundary_rule(definition, GERMAN_WORDS) == "All red meat."
    known = replace(definition, boundary_rule="Only the largest connected piece of each side counts.")
    assert wording.boundary_rule(known) == known.boundary_rule
    assert wording.boundary_rule(known, GERMAN_WORDS).startswith("Es zählt nur das größte")


def test_nobody_lies_on_percentile_0_or_100():
    high = replace(scored("fat", 2.8), percentile=99.74, percentile_ci95=(99.0, 99.95), z_ci95=None)
    assert wording.score_sentence(high).startswith("z +2.80, percentile >99 [99 to >99]; ")
    low = replace(scored("fat", -2.8), percentile=0.26, percentile_ci95=(0.01, 1.0), z_ci95=None)
    assert wording.score_sentence(low, GERMAN_WORDS).startswith("z -2,80, Perzentil <1 [<1 bis 1]; ")


def test_unknown_measures_and_flags_keep_their_own_name():
    assert wording.measure_name("imat_fraction") == "IMAT share of compartment"
    assert wording.measure_name("some_measure") == "some measure"
    assert wording.flag_name("some_flag") == "some flag"
    assert wording.flag_name("imat_high") == "Intermuscular fat above the reference range"


def test_a_dixon_pair_is_called_one_and_its_water_image_alone_is_not():
    def section(*roles):
        return SeriesSection(
            study_uid="1.2.3",
            series_uid="1.2.3.4",
            inputs=tuple(SeriesInput(role=role, series_uid="1.2.3.4", stack=0) for role in roles),
            plane="axial",
            contrast="water",
            region="lumbar",
            slices=5,
            coverage_mm=20.0,
            spacing_mm=(4.0, 1.0, 1.0),
        )

    assert wording.contrast_name(section("water", "fat")) == "Dixon water and fat"
    assert wording.contrast_name(section("image")) == "Dixon water"


def test_a_change_is_told_with_the_smallest_that_can_be_detected():
    change = Change(
        study_uid="1.2",
        series_uid="1.2.3",
        days=400,
        measures=(
            difference("imat_fraction", "1", 0.10, 0.12, 0.0062, "beyond_repeatability"),
            difference("lmm_ml", "mL", 200.0, 201.0, None, "repeatability_not_known"),
        ),
    )
    assert wording.change_sentences(change) == [
        "Against the study 400 days earlier:",
        (
            "IMAT share of compartment 10.0 to 12.0 % (+2.0); more than the smallest detectable change "
            "by simulated repeats (0.6)."
        ),
        (
            "Lean muscle (LMM) 200.0 to 201.0 mL (+1.0); whether this is more than the error of "
            "measurement is not known."
        ),
    ]
    assert "10,0 auf 12,0 %" in wording.change_sentences(change, GERMAN_WORDS)[1]
    assert wording.change_sentences(None) == []


def difference(measure, unit, earlier, value, smallest, state):
    return Difference(
        measure=measure,
        unit=unit,
        earlier=earlier,
        value=value,
        difference=value - earlier,
        smallest_detectable=smallest,
        state=state,
    )


def test_the_software_that_measured_is_named_beside_the_one_that_scored():
    told = a_finding(software="myoscreen 2", measured_by="myoscreen 1")
    (english,) = wording.measured_by_sentences(told)
    assert english == (
        "Measured by myoscreen 1; scores, flags and change over time were computed anew by myoscreen 2."
    )
    (german,) = wording.measured_by_sentences(told, GERMAN_WORDS)
    assert german.startswith("Gemessen von myoscreen 1; ")
    assert wording.measured_by_sentences(a_finding()) == []
    assert english in provenance_lines(told)


def test_an_edited_drawing_is_told_with_its_overlap_as_far_as_there_is_one():
    nothing = AutomaticTotals(compartment_ml=None, lmm_ml=None, imat_ml=None, imat_fraction=None)
    edited = Edited(
        algorithm_type="MANUAL",
        by=None,
        at=None,
        made_with=None,
        sop_instance_uid="1.2",
        sha256="0" * 64,
        peer="viewer",
        corrects="1.3",
        automatic=nothing,
        agreement=(SegmentAgreement(segment="lean_left", dice=None, automatic_ml=None, edited_ml=None),),
    )
    (said,) = wording.edited_sentences(a_finding(edited=edited))
    assert said == "The drawing was edited by a person who is not named (MANUAL)."
    with_overlap = replace(edited, by="Doe^A", agreement=(replace(edited.agreement[0], dice=0.9),))
    first, second = wording.edited_sentences(a_finding(edited=with_overlap))
    assert "by Doe A (" in first
    assert second.startswith("Overlap with the drawing of the network (Dice): ")
    assert second.endswith(" 0.90.")


def test_a_score_without_the_status_of_its_table_says_so():
    said = wording.reference_sentence(replace(scored("fat", 1.0), norm_status=None, norm=None))
    assert said == "reference table not named (status not stated)"
