"""The published JSON Schema of the finding is the shape that the program writes."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from service.core import finding as shapes
from service.core.finding import (
    Asymmetry,
    Definition,
    Finding,
    Flag,
    Measures,
    ModelSection,
    Output,
    PersonSection,
    ProfilePoint,
    QualityCheck,
    Score,
    SeriesInput,
    SeriesSection,
    SideMeasures,
)
from service.core.series import BlockPlace, Role
from service.errors import Reason

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "reference" / "finding.schema.json").read_text("utf-8")
)


def finding(**changes: Any) -> dict[str, Any]:
    """A finding of a measured lumbar stack as plain JSON values."""
    side = SideMeasures(
        compartment_ml=250.0,
        lmm_ml=225.0,
        imat_ml=25.0,
        imat_fraction=0.1,
        mean_csa_cm2=21.0,
        mean_lean_csa_cm2=19.0,
        fat_signal_fraction=None,
    )
    values: dict[str, Any] = {
        "status": "measured",
        "reasons": (),
        "definition": Definition(
            id="paraspinal-two-class",
            version="1",
            network="paraspinal@0.1.0",
            boundary_rule="inside the fascia",
            fat_method="fat_reference_bright",
        ),
        "series": SeriesSection(
            study_uid="1.2.3",
            series_uid="1.2.3.4",
            inputs=(SeriesInput(role="image", series_uid="1.2.3.4", stack=0),),
            plane="axial",
            contrast="t2_tse",
            region="lumbar",
            slices=30,
            coverage_mm=132.0,
            spacing_mm=(4.4, 0.7, 0.7),
        ),
        "person": PersonSection(
            age_years=52.5,
            age_source="StudyDate-PatientBirthDate",
            sex="F",
            sex_source="PatientSex",
            height_m=None,
            height_source=None,
        ),
        "measures": Measures(
            left=side,
            right=side,
            total=side,
            asymmetry=Asymmetry(compartment_ml=0.0, imat_fraction=0.0),
            lmm_height_index_ml_m2=None,
            profile=(
                ProfilePoint(
                    position_mm=0.0,
                    left_lean_cm2=9.0,
                    left_fat_cm2=1.0,
                    right_lean_cm2=9.0,
                    right_fat_cm2=1.0,
                ),
            ),
        ),
        "scores": (
            Score(
                measure="imat_fraction",
                value=0.1,
                value_ci95=None,
                unit="1",
                state="scored",
                reason=None,
                z=0.5,
                z_ci95=(0.1, 0.9),
                percentile=69.1,
                percentile_ci95=(54.0, 81.6),
                norm="demonstration-imat@1",
                norm_status="demonstration",
            ),
        ),
        "flags": (Flag(code="imat_high", state="not_raised", text="Not raised."),),
        "quadrant": None,
        "quality": (QualityCheck(check="both_sides_found", passed=True, detail="Found: left, right."),),
        "model": ModelSection(
            name="paraspinal",
            version="0.1.0",
            sha256="0" * 64,
            provider="CPUExecutionProvider",
            precision="fp32",
        ),
        "norms": ("demonstration-imat@1 (demonstration)",),
        "policy": "default@1",
        "software": "myoscreen 0.1.0",
        "outputs": (Output(kind="SEG", sop_instance_uid="2.25.1", path="seg.dcm"),),
    }
    plain: dict[str, Any] = json.loads(json.dumps(Finding(**{**values, **changes}).as_dict()))
    return plain


def validate(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_measured_finding_follows_the_schema() -> None:
    validate(finding())


def test_a_block_without_volumes_follows_the_schema() -> None:
    document = finding()
    document["series"]["block"] = {"number": 2, "of": 5}
    for side in ("left", "right", "total"):
        document["measures"][side].update(compartment_ml=None, lmm_ml=None, imat_ml=None)
    document["measures"]["asymmetry"]["compartment_ml"] = None
    validate(document)
    document["series"]["block"] = {"number": None, "of": None}
    validate(document)


def test_a_finding_about_nothing_readable_follows_the_schema() -> None:
    nothing = {
        **dict.fromkeys(("definition", "series", "person", "measures", "model", "policy")),
        **dict.fromkeys(("scores", "flags", "quality", "norms", "outputs"), ()),
    }
    validate(finding(status="not_assessable", reasons=(Reason("no_images", "Nothing."),), **nothing))


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("status", "normal"),
        ("measures", None),
        ("quadrant", "low_risk"),
        ("outputs", [{"kind": "SEG"}]),
        ("diagnosis", "none"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(change: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate({**finding(), change: value})


def test_a_left_out_field_is_refused() -> None:
    document = finding()
    del document["change"]
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


def test_a_withheld_score_has_no_z() -> None:
    document = finding()
    document["scores"][0]["state"] = "no_norm"
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (shapes.Definition, "definition"),
        (shapes.SeriesInput, "input"),
        (shapes.SeriesSection, "series"),
        (shapes.PersonSection, "person"),
        (BlockPlace, "block"),
        (shapes.SideMeasures, "side"),
        (shapes.Asymmetry, "asymmetry"),
        (shapes.ProfilePoint, "profile_point"),
        (shapes.Measures, "measures"),
        (shapes.NormFacts, "norm_facts"),
        (shapes.Score, "score"),
        (shapes.Flag, "flag"),
        (shapes.QualityCheck, "quality_check"),
        (shapes.ModelSection, "model"),
        (shapes.Output, "output"),
        (shapes.Edited, "edited"),
        (shapes.AutomaticTotals, "automatic_totals"),
        (shapes.SegmentAgreement, "segment_agreement"),
        (Reason, "reason"),
    ],
)
def test_the_schema_knows_the_very_fields_of_the_program(shape: Any, name: str) -> None:
    named = {field.name for field in fields(shape)}
    assert set(SCHEMA["$defs"][name]["properties"]) == named
    assert set(SCHEMA["$defs"][name]["required"]) == named


def test_the_schema_knows_the_very_sections_of_a_finding() -> None:
    assert set(SCHEMA["properties"]) == {field.name for field in fields(Finding)}
    assert SCHEMA["properties"]["schema"]["const"] == shapes.SCHEMA


def test_the_schema_knows_the_very_roles_of_an_input() -> None:
    assert SCHEMA["$defs"]["input"]["properties"]["role"]["enum"] == [role.value for role in Role]
