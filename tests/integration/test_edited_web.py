"""What the pages and the REST interface tell of drawings that people corrected."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.db import edits
from service.db.tables import Analysis, AnalysisInput, Edit
from tests.make import ledger

SAID = {
    "algorithm_type": "SEMIAUTOMATIC",
    "by": "Reader^Rita",
    "at": "2026-03-01T10:00:00",
    "made_with": "QIICR dcmqi",
    "sop_instance_uid": "2.25.1",
    "sha256": "0" * 64,
    "peer": "viewer",
    "corrects": "2.25.2",
    "automatic": {"compartment_ml": 500.0, "lmm_ml": 400.0, "imat_ml": 100.0, "imat_fraction": 0.2},
    "agreement": [{"segment": "lean_left", "dice": 0.875, "automatic_ml": 200.0, "edited_ml": 210.0}],
}


def came(world, number, of, outcome, **more):
    """One segmentation that came back."""
    with world.sessions.begin() as db:
        series_id = db.scalar(select(AnalysisInput.series_id).where(AnalysisInput.analysis_id == of))
        facts = {"sop_class_uid": "1.2", "path": "", "sha256": "0" * 64, "size": 1, "peer": "viewer"}
        at = ledger.NOW + timedelta(minutes=number)
        ids = {"sop_instance_uid": f"2.25.9.{number}", "series_id": series_id, "outcome": outcome}
        db.add(Edit(**ids, **facts, received_at=at, **more))


def case(lmm_ml, dice):
    return {"dice": {"lean_left": dice}, "differences": {"lmm_ml": lmm_ml, "imat_points": None}}


@pytest.fixture
def told(world):
    """An edited result, five cases of one network, and one that was not taken."""
    with world.sessions.begin() as db:
        row = db.get_one(Analysis, world.ids.plain)
        row.edit_id, row.finding = 1, {**row.finding, "edited": SAID}
        finished = db.scalars(select(Analysis.id).where(Analysis.withdrawn_at.is_(None)).limit(5)).all()
    for number, analysis_id in enumerate(finished, start=1):
        stated = {"network": "paraspinal 1", "contrast": "t2_tse", "comparison": case(float(number), 0.8)}
        came(world, number, analysis_id, edits.TAKEN, analysis_id=analysis_id, corrects_id=number, **stated)
    came(world, 9, world.ids.plain, "edit_overlap", reason_text="7 voxels are in two segments at once.")
    return world


def test_the_page_of_reviews_shows_agreement_and_what_became_of_each(told):
    page = told.browser("vera").get("/reviews").text
    assert "Drawings that people corrected" in page
    assert "paraspinal 1, T2 TSE: 5 cases" in page
    # 1 to 5: bias 3, limits 3 -+ 1.96 * sqrt(2.5).
    assert '<td class="num">3.0</td><td class="num">\u22120.1 to 6.1</td>' in page
    assert 'lean muscle left</th><td class="num">5</td><td class="num">0.80</td>' in page
    assert "not taken: 7 voxels are in two segments at once. <code>edit_overlap</code>" in page
    german = told.browser("vera")
    german.cookies.set("myoscreen_language", "de")
    assert "Von Personen berichtigte Zeichnungen" in german.get("/reviews").text


def test_the_page_of_an_edited_result_says_so_first(told):
    page = told.browser("vera").get(f"/analyses/{told.ids.plain}").text
    assert "A person edited the drawing that was measured." in page
    assert "By Reader, Rita, SEMIAUTOMATIC, sent by viewer." in page
    assert "Drawing edited by a person, measured by software. Not verified." in page
    assert "Unverified output of a network." not in page
    assert "it needs a review of its own all the same" in page


def test_rest_marks_it_and_gives_the_same_numbers(told):
    client = told.program("viewer")
    assert client.get(f"/api/v1/analyses/{told.ids.plain}").json()["edited"] is True
    listed = client.get("/api/v1/analyses?limit=200").json()["items"]
    assert {item["id"] for item in listed if item["edited"]} == {told.ids.plain}
    found = client.get("/api/v1/reviews").json()
    (group,) = found["edited"]
    assert (group["network"], group["contrast"], group["cases"]) == ("paraspinal 1", "t2_tse", 5)
    (spread,) = group["spreads"]
    assert (spread["measure"], spread["unit"], spread["bias"]) == ("lmm_ml", "mL", 3.0)
    assert [item["outcome"] for item in found["edits"]] == ["edit_overlap"] + ["taken"] * 5
    assert "patient" not in str(found).lower()
