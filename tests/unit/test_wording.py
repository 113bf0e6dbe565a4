from dataclasses import replace

from service.core import wording
from service.core.finding import QualityCheck, SeriesInput, SeriesSection
from tests.make.facts import scored


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
