"""Earlier studies of the same person, found by identity and never by chance."""

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from service.core.status import WITHIN_SERIES
from service.db import ledger, priors, queries, versions
from service.db.session import reading
from service.db.tables import Analysis, Series
from tests.make.received import NOW, instance, measured_result, set_input

PERSON = {"patient_id": "P1", "patient_name": "Doe^Jane", "birth_date": "19700101", "sex": "F"}


def study(sessions, number, day, *, finding=None, **changes):
    """A measured analysis of a study of that day; its id."""
    facts = ledger.StudyFacts(study_uid=f"1.2.3.{number}", study_date=day, **{**PERSON, **changes})
    with sessions.begin() as db:
        ledger.record_instance(db, replace(instance(study=number), study=facts), now=NOW)
        ((series_id, study_id),) = db.execute(_series(number)).all()
        sets = [set_input(series_id, 0, f"d{number}")]
        (made,) = versions.make_ready(db, study_id=study_id, series_ids=[series_id], sets=sets, now=NOW)
        claim = queries.claim_analysis(db, made, owner="x", now=NOW)
        result = measured_result(input_digest=f"d{number}", finding=finding or {"number": number})
        queries.save_finding(db, claim, result, now=NOW)
        return made


def _series(number):
    return select(Series.id, Series.study_id).where(Series.series_uid == f"1.2.3.{number}.1")


def before(sessions, analysis_id):
    with reading(sessions) as db:
        return [(found["number"], days) for found, days in priors.earlier_findings(db, analysis_id)]


def disagreements(sessions, analysis_id):
    with reading(sessions) as db:
        return priors.disagreements(db, analysis_id)


def test_earlier_studies_come_newest_first_with_the_days_between(sessions):
    study(sessions, 1, "20240101")
    study(sessions, 2, "20250101")
    study(sessions, 4, "20270101")
    assert before(sessions, study(sessions, 3, "20260101")) == [(2, 365), (1, 731)]


@pytest.mark.parametrize(
    "changes",
    [
        {"patient_id": "P2"},
        {"birth_date": "19710101"},
        {"sex": "M"},
        {"sex": "O"},
        {"patient_id": ""},
        {"birth_date": ""},
        {"birth_date": "19000101"},
        {"patient_name": "Other^Name"},
    ],
)
def test_another_person_or_nobody_known_is_not_compared(sessions, changes):
    study(sessions, 1, "20240101", **changes)
    assert before(sessions, study(sessions, 2, "20260101")) == []
    placeholder = not all(changes.values()) or "O" in changes.values() or "19000101" in changes.values()
    found = before(sessions, study(sessions, 3, "20270101", **changes))
    assert found == ([] if placeholder else [(1, 1096)])


def test_a_name_that_is_written_otherwise_is_the_same_name(sessions):
    study(sessions, 1, "20240101", patient_name="DOE, JANE")
    assert before(sessions, study(sessions, 2, "20250101", patient_name="Doe^Jane=x")) == [(1, 366)]


@pytest.mark.parametrize("day", ["", "2024", "20241399"])
def test_a_study_without_a_usable_date_has_no_place_in_time(sessions, day):
    first = study(sessions, 1, day)
    second = study(sessions, 2, "20260101")
    assert before(sessions, first) == before(sessions, second) == []


def test_what_was_superseded_or_withheld_is_not_compared(sessions):
    first = study(sessions, 1, "20240101")
    second = study(sessions, 2, "20260101")
    with sessions.begin() as db:
        db.execute(update(Analysis).where(Analysis.id == first).values(state="superseded"))
    assert before(sessions, second) == []


def test_a_study_whose_images_disagree_in_identity_is_not_compared(sessions):
    study(sessions, 1, "20240101")
    later = study(sessions, 2, "20260101")
    assert before(sessions, later) == [(1, 731)]
    facts = ledger.StudyFacts(study_uid="1.2.3.2", study_date="20260101", **{**PERSON, "patient_id": "P9"})
    with sessions.begin() as db:
        ledger.record_instance(db, replace(instance(2, study=2), study=facts), now=NOW)
    assert before(sessions, later) == []
    assert disagreements(sessions, later) == (WITHIN_SERIES,)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ()),
        ({"patient_id": "P9"}, ("PatientID",)),
        ({"birth_date": "19710101", "sex": "M"}, ("PatientBirthDate", "PatientSex")),
        ({"issuer_of_patient_id": "A"}, ()),
        ({"patient_name": "Doe^J"}, ()),
    ],
)
def test_attributes_in_which_the_series_of_a_study_disagree_are_named(sessions, changes, named):
    later = study(sessions, 2, "20260101")
    facts = ledger.StudyFacts(study_uid="1.2.3.2", study_date="20260101", **{**PERSON, **changes})
    with sessions.begin() as db:
        ledger.record_instance(db, replace(instance(1, study=2, series=2), study=facts), now=NOW)
    assert disagreements(sessions, later) == named


def test_the_same_id_of_another_issuer_is_another_person(sessions):
    study(sessions, 1, "20240101", issuer_of_patient_id="A")
    study(sessions, 2, "20250101")
    assert before(sessions, study(sessions, 3, "20260101", issuer_of_patient_id="B")) == [(2, 365)]
