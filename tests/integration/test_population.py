"""The population page: who counts, in both databases, and that nothing small is told."""

import itertools
import re

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import OperationalError

from service.core import trouble
from service.core.extract import person_number
from service.core.population import plane
from service.core.status import AnalysisState
from service.db import ledger as queries_ledger
from service.db import optouts, patients, population, queries, retention, selftests, versions, withdrawals
from service.db.session import make_sessions, reading, upgrade
from service.db.tables import Analysis, AnalysisInput, DriftLook, PopulationRow, Study
from service.pipeline import population as pipeline
from service.pipeline import vitals
from tests.make import ledger
from tests.make.population import Crowd, fill, month
from tests.make.web import copy_world

RESULTS = 640


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowded(request, tmp_path_factory):
    """Sessions on a database with many results."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('crowd') / 'myoscreen.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    upgrade(url)
    sessions = make_sessions(url)
    with sessions.begin() as session:
        fill(session, Crowd(results=RESULTS, months=14, drift=2.5, seed=3))
    yield sessions
    sessions.kw["bind"].dispose()


@pytest.fixture
def session(crowded):
    """A transaction that is taken back."""
    with crowded() as session:
        yield session
        session.rollback()


def records_of(session):
    (family,) = population.families(session)
    return population.records(session, family.id)


def test_what_is_read_is_what_was_written(session):
    records = records_of(session)
    rows = {row.analysis_id: row for row in session.scalars(select(PopulationRow))}
    findings = dict(session.execute(select(Analysis.id, Analysis.finding)).all())
    assert len(records) == len(rows) == RESULTS
    for place, number in enumerate(records.analysis):
        row, finding = rows[int(number)], findings[int(number)]
        assert records.person[place] == row.person
        assert records.imat[place] == pytest.approx(finding["measures"]["total"]["imat_fraction"], abs=6e-6)
        assert records.lmm_z[place] == pytest.approx(finding["scores"][1]["z"], abs=6e-4)
        assert records.age_years[place] == finding["person"]["age_years"]
        assert records.names["scanner"][records.groups["scanner"][place]] == row.scanner


def test_a_row_is_what_is_taken_out_of_its_finding_again(session):
    before = {row.analysis_id: patients.as_dict(row) for row in session.scalars(select(PopulationRow))}
    for number in (1, 150, RESULTS):
        population.note(session, number)
    session.expire_all()
    after = {row.analysis_id: patients.as_dict(row) for row in session.scalars(select(PopulationRow))}
    assert after == before
    population.note(session, 10**9)


def withdraw(session, _home):
    withdrawals.withdraw(session, 7, reason="wrong_drawing", actor="rita", now=ledger.NOW)


def supersede(session, _home):
    session.execute(update(Analysis).where(Analysis.id == 7).values(state="superseded"))


def purge(session, _home):
    retention.delete_study(session, 7, now=ledger.NOW)


def opt_out(session, home):
    study = session.get_one(Study, 7)
    optouts.add(session, home, (study.patient_id, ""), reason="", actor="x", now=ledger.NOW)
    population.follow_opt_outs(session, home)


def self_test(session, _home):
    selftests.begin(session, study_uid=session.get_one(Study, 7).study_uid, peers=(), now=ledger.NOW)


def nobody(session, _home):
    session.get_one(Study, 7).patient_id = ""
    session.flush()
    population.note(session, 7)


@pytest.mark.parametrize("act", [withdraw, supersede, purge, opt_out, self_test, nobody])
def test_what_does_not_stand_does_not_count(session, tmp_path, act):
    assert 7 in records_of(session).analysis
    act(session, tmp_path)
    session.flush()
    assert 7 not in records_of(session).analysis
    (family,) = population.families(session)
    assert family.people == records_of(session).people


def test_who_opts_in_again_counts_again(session, tmp_path):
    opt_out(session, tmp_path)
    assert 7 not in records_of(session).analysis
    (line,) = optouts.lines(session)
    optouts.remove_line(session, line.id, actor="x", now=ledger.NOW)
    population.follow_opt_outs(session, tmp_path)
    assert 7 in records_of(session).analysis


def test_without_the_key_of_the_list_who_does_not_count_goes_on_so(session, tmp_path):
    opt_out(session, tmp_path)
    (tmp_path / optouts.KEY_NAME).unlink()
    population.follow_opt_outs(session, tmp_path)
    assert 7 not in records_of(session).analysis


def test_results_of_an_earlier_release_are_taken_in(crowded, tmp_path):
    with crowded.begin() as session:
        opt_out(session, tmp_path)
        session.execute(delete(PopulationRow).where(PopulationRow.analysis_id.in_((5, 7, 9))))
    assert pipeline.take_in(crowded, tmp_path) == 3
    assert pipeline.take_in(crowded, tmp_path) == 0
    with crowded.begin() as session:
        numbers = records_of(session).analysis
        assert (5 in numbers, 7 in numbers, 9 in numbers) == (True, False, True)
        (line,) = optouts.lines(session)
        optouts.remove_line(session, line.id, actor="x", now=ledger.NOW)
        population.follow_opt_outs(session, tmp_path)


def test_drift_of_one_scanner_becomes_a_trouble_with_no_name_in_it(crowded):
    found = pipeline.look_for_drift(crowded, since=0, now=ledger.NOW)
    assert found["imat scanner"] == 1
    assert not any(what.startswith("lmm") for what in found)
    with reading(crowded) as session:
        signs = vitals.signs(session, now=ledger.NOW)
    assert signs.drift == found
    troubles = trouble.find_troubles(trouble.Vitals(drift=signs.drift))
    assert "values_drift:imat scanner" in {each.key for each in troubles}
    # From the month of a change that is accepted, there is nothing to compare with yet.
    assert not pipeline.look_for_drift(crowded, since=month(ledger.NOW) - 1, now=ledger.NOW)
    with crowded.begin() as session:
        session.execute(delete(DriftLook))


def test_drift_is_looked_for_once_an_hour_by_whichever_worker(crowded, tmp_path):
    errand = pipeline.errand(crowded, tmp_path, drift_since="2020-01")
    errand()
    with reading(crowded) as session:
        first = population.drift(session)
    errand()
    with reading(crowded) as session:
        assert population.drift(session) == first
    assert pipeline.month_from("2020-01") == 202001


@pytest.fixture(scope="module")
def populated(template, tmp_path_factory):
    """The web door with many results; tests only look."""
    world = copy_world(template, tmp_path_factory.mktemp("populated") / "home")
    with world.sessions.begin() as session:
        fill(session, Crowd(results=RESULTS, months=14, drift=2.5, seed=3), first_id=10_000)
    pipeline.take_in(world.sessions, world.home)
    yield world
    world.sessions.kw["bind"].dispose()


def test_the_interface_tells_many_and_no_few(populated):
    answer = populated.program("viewer").get("/api/v1/population")
    assert answer.status_code == 200
    found = answer.json()
    with reading(populated.sessions) as session:
        exact = plane(population.records(session, found["family"]["id"]))
    assert found["plane"]["cells"] == [vars(cell) for cell in exact.cells]
    told = [cell["people"] for cell in found["plane"]["cells"]] + list(found["plane"]["quadrants"].values())
    told += [band["people"] for ages in found["ages"] for band in ages["bands"]]
    told += [each["people"] for each in (*found["flag_rates"], *found["families"])]
    told += [point["people"] for chart in found["drift"] for point in chart["points"]]
    assert len(told) > 30
    assert all(count is None or (count >= 5 and count % 5 == 0) for count in told)
    (drifting,) = [chart for chart in found["drift"] if chart["dimension"] == "scanner" and chart["alarms"]]
    assert (drifting["measure"], drifting["name"]) == ("imat", "SIEMENS Avanto_fit 1.5 T / MR1")
    # The two results of the small family of the template are nowhere.
    assert len(found["families"]) == 1
    assert "CROWD-" not in answer.text


def test_only_who_may_see_results_sees_it_and_each_look_is_recorded(populated):
    assert populated.program("auditor").get("/api/v1/population").status_code == 403
    assert populated.browser("audrey").get("/population").status_code == 403
    assert populated.client().get("/population").status_code == 303
    assert populated.browser("vera").get("/population").status_code == 200
    assert ("vera", "population_viewed", "ok") in populated.actions()


def test_what_is_not_there_is_said(populated):
    client, browser = populated.program("viewer"), populated.browser("vera")
    assert client.get("/api/v1/population?family=999").status_code == 404
    assert client.get("/api/v1/population?by=patient").status_code == 422
    assert "There are no such results of five or more people." in browser.get("/population?family=999").text
    assert browser.get("/population?family=x").status_code == 422


def test_the_page_draws_each_with_its_table(populated):
    page = populated.browser("vera").get("/population?by=scanner").text
    assert page.count('<svg class="chart"') == page.count('role="img" aria-label="') >= 6
    assert "point-outside" in page
    assert '<option value="scanner" selected>' in page
    assert "CROWD-" not in page
    assert not re.search(r"<(script(?! src)|style)|style=", page)
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_with_nothing_to_draw_the_page_says_so(world):
    assert "No results of five or more people" in world.browser("vera").get("/population").text
    found = world.program("viewer").get("/api/v1/population").json()
    assert (found["families"], found["family"], found["plane"], found["drift"]) == ([], None, None, [])


def test_the_metric_names_measure_and_dimension_alone(populated):
    pipeline.look_for_drift(populated.sessions, since=0, now=populated.now)
    text = populated.client().get("/metrics").text
    assert 'myoscreen_drift{dimension="scanner",measure="imat"} 1.0' in text
    assert 'myoscreen_drift{dimension="all",measure="lmm"} 0.0' in text
    status = populated.program("viewer").get("/api/v1/status").json()
    assert "values_drift" in {each["code"] for each in status["troubles"]}


def claimed(session, state):
    """An analysis that a worker holds, and what it found."""
    source = session.get_one(Analysis, 7)
    row = Analysis(
        id=10**6,
        study_id=7,
        input_digest="x",
        version=2,
        state="running",
        attempt=1,
        choice=source.choice,
        object_time=ledger.NOW,
        created_at=ledger.NOW,
        inputs=[AnalysisInput(series_id=7, role="image", stack=0)],
    )
    session.add(row)
    session.flush()
    claim = queries.Claim(
        analysis_id=row.id,
        attempt=1,
        version=2,
        input_digest="x",
        object_time=ledger.NOW,
        study_uid="",
        created_at=ledger.NOW,
        inputs=(),
    )
    result = queries.Result(
        state=state,
        finding=source.finding,
        contrast="t2_tse",
        region="lumbar",
        flagged=False,
        reason=None,
        input_digest="x",
        timings={},
        result_path="x",
    )
    return claim, result


def test_a_result_and_its_row_are_published_together(session):
    claim, result = claimed(session, AnalysisState.MEASURED)
    queries.save_finding(session, claim, result, now=ledger.NOW)
    row = session.get_one(PopulationRow, claim.analysis_id)
    before = session.get_one(PopulationRow, 7)
    assert (row.person, row.family_id, row.scanner, row.site) == (
        before.person,
        before.family_id,
        before.scanner,
        before.site,
    )
    # The new version takes the place of the old one: still one result.
    versions.supersede(session, [7], now=ledger.NOW)
    numbers = records_of(session).analysis.tolist()
    assert (7 in numbers, claim.analysis_id in numbers) == (False, True)


def test_what_was_not_measured_has_no_row(session):
    claim, result = claimed(session, AnalysisState.NOT_ASSESSABLE)
    queries.save_finding(session, claim, result, now=ledger.NOW)
    assert session.get(PopulationRow, claim.analysis_id) is None


def test_a_study_of_another_patient_is_taken_in_anew(session):
    population.forget_study(session, 7)
    session.get_one(Study, 7).patient_id = "CROWD-OTHER"
    session.flush()
    assert population.missing(session, limit=10) == [7]
    population.note(session, 7)
    assert session.get_one(PopulationRow, 7).person == person_number("crowd-other")


def test_what_is_exported_of_a_patient_holds_the_row(session):
    told = dict(patients.rows_of(session, 7))
    assert [row["analysis_id"] for row in told["population"]] == [7]


@pytest.mark.parametrize("crowded", ["postgresql"], indirect=True)
def test_what_is_taken_in_waits_for_who_changes_the_patient(crowded, tmp_path):
    """Else it would take in the patient that was, after the other let go of what was taken in."""
    with crowded.begin() as session:
        population.forget_study(session, 11)
    with crowded.begin() as other:
        queries_ledger.lock_study(other, 11)
        with crowded() as session:
            session.execute(text("SET LOCAL lock_timeout = '100ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                population.note(session, 11, home=tmp_path)
    assert pipeline.take_in(crowded, tmp_path) == 1


def test_each_older_result_is_taken_in_by_itself(crowded, tmp_path, monkeypatch):
    """No lock is held while another is waited for, and one that fails loses no other."""
    with crowded.begin() as session:
        for number in (11, 12, 13):
            population.forget_study(session, number)
    held = []
    note = population.note

    def noting(session, analysis_id, **more):
        held.append(session.get_transaction())
        note(session, analysis_id, **more)

    monkeypatch.setattr(population, "note", noting)
    assert pipeline.take_in(crowded, tmp_path) == 3
    assert len({id(each) for each in held}) == len(held) == 3


def test_who_opted_out_while_a_result_was_published_counts_for_an_hour_at_most(crowded, tmp_path):
    with crowded.begin() as session:
        study = session.get_one(Study, 21)
        optouts.add(session, tmp_path, (study.patient_id, ""), reason="", actor="x", now=ledger.NOW)
        session.execute(delete(DriftLook))
    pipeline.errand(crowded, tmp_path, drift_since=None)()
    with crowded.begin() as session:
        assert 21 not in records_of(session).analysis
        (line,) = optouts.lines(session)
        optouts.remove_line(session, line.id, actor="x", now=ledger.NOW)
        population.follow_opt_outs(session, tmp_path)
