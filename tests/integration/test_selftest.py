"""The self-test tells what goes wrong, clears up after itself and others, and touches nobody else's data."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from service.db import cohort, deliveries, funnel, selftests
from service.db.session import reading
from service.db.tables import Analysis, Delivery, Output, SelfTest, Series, Study
from service.dicom import scu
from service.dicom.callers import SELF_TEST_AE, Caller, CallerList
from service.dicom.phantom import paraspinal_phantom
from service.errors import InvalidRequest
from service.pipeline import selftest
from tests.make import ledger
from tests.make.running import free_port

NOW = datetime.now(UTC)


def now():
    """The receiver's own clock, which goes on while other tests run."""
    return datetime.now(UTC)


pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Five slices: nobody measures them here."""
    monkeypatch.setattr(selftest, "write_drawn", partial(selftest.write_drawn, slices=5))


def run(sessions, home, port, **terms):
    address = scu.Address(host="127.0.0.1", port=port, ae_title="MYOSCREEN", calling_ae=SELF_TEST_AE)
    return selftest.run(sessions, home, address, peers=(), terms=selftest.Terms(**terms), clock=now)


def outcomes(sessions):
    with reading(sessions) as session:
        return [(row.outcome, row.study_uid) for row in session.query(SelfTest).order_by(SelfTest.id)]


def test_a_receiver_that_is_away_is_told_and_nothing_stays(sessions, tmp_path):
    outcome = run(sessions, tmp_path, free_port())
    assert (outcome.code, outcome.passed) == ("not_reached", False)
    assert outcomes(sessions) == [("not_reached", None)]
    with reading(sessions) as session:
        assert selftests.last(session).outcome == "not_reached"


def test_the_receiver_lets_in_the_announced_study_alone_and_only_while_the_test_runs(open_door, tmp_path):
    # Peers are listed, so this machine may not send by itself.
    door = open_door(peer=[{"name": "mr", "ae_title": "MR", "host": "10.9.9.9"}])
    home = tmp_path / "home"
    # Nobody analyses here: the images are taken, and the result does not come.
    outcome = run(door.sessions, home, door.port, seconds=0.0)
    assert outcome.code == "timeout"
    with reading(door.sessions) as session:
        assert session.query(Series).one().calling_ae == SELF_TEST_AE
        assert session.query(Study).one().patient_id == "MYOSCREEN-SELFTEST"
        # The series may still be worked on, so it waits to be cleared up.
        assert session.query(SelfTest).one().study_uid is not None
    with door.sessions.begin() as session:
        session.query(Series).update({"state": "closed"})
    selftest.clear_up(door.sessions, home, now=now())
    assert outcomes(door.sessions) == [("timeout", None)]
    with reading(door.sessions) as session:
        assert session.query(Study).count() == 0
    assert [path for path in (home / "spool").rglob("*") if path.is_file()] == []


def test_other_images_are_refused_under_its_title(open_door, tmp_path, monkeypatch):
    door = open_door(peer=[{"name": "mr", "ae_title": "MR", "host": "10.9.9.9"}])
    monkeypatch.setattr(selftest.selftests, "expected_study", lambda session, now: "1.2.3")
    address = scu.Address(host="127.0.0.1", port=door.port, ae_title="MYOSCREEN", calling_ae=SELF_TEST_AE)
    paths, _ = selftest.write_drawn(tmp_path / "in")
    assert {outcome.status for outcome in scu.store(paths[:2], address)} == {0xA900}
    with reading(door.sessions) as session:
        assert session.query(Study).count() == 0


@pytest.mark.parametrize(
    ("address", "title", "study", "let_in"),
    [
        ("127.0.0.1", SELF_TEST_AE, "1.2", True),
        ("10.0.0.5", SELF_TEST_AE, "1.2", True),
        ("10.0.0.6", SELF_TEST_AE, "1.2", False),
        ("127.0.0.1", SELF_TEST_AE, None, False),
        ("127.0.0.1", "OTHER", "1.2", False),
    ],
)
def test_who_comes_as_a_self_test(address, title, study, let_in):
    listed = [Caller(name="mr", ae_title="MR", host="10.9.9.9")]
    callers = CallerList(listed, ae_title="M", self_test=lambda: study, own_address="10.0.0.5")
    found = callers.admit(calling_ae=title, called_ae="M", address=address)
    assert (found.caller is not None) == let_in
    if let_in:
        assert found.caller.only_study == study


def test_two_do_not_run_at_once_and_a_dead_one_makes_way(sessions, tmp_path):
    with sessions.begin() as session:
        selftests.begin(session, study_uid="1.2.3", peers=(), now=NOW - timedelta(minutes=5))
    with pytest.raises(InvalidRequest) as error:
        run(sessions, tmp_path, free_port())
    assert error.value.reason.code == "self_test_runs"
    with sessions.begin() as session:
        session.query(SelfTest).update({"started_at": NOW - timedelta(hours=2)})
    assert run(sessions, tmp_path, free_port()).code == "not_reached"
    assert outcomes(sessions) == [(None, None), ("not_reached", None)]


def test_its_results_go_to_named_peers_alone_and_count_nowhere(sessions, tmp_path):
    ledger.fill(sessions, tmp_path)
    with sessions.begin() as session:
        output = session.query(Output).first()
        study = session.get_one(Study, session.get_one(Analysis, output.analysis_id).study_id)
        session.query(Delivery).delete()
        selftests.begin(session, study_uid=study.study_uid, peers=("named", "other"), now=NOW)
        rows = [(output.kind, output.id)]
        planned = {
            peer: len(deliveries.plan(session, rows, peer=peer, kinds=[output.kind], now=NOW))
            for peer in ("pacs", "named", "other", "name")
        }
        assert planned == {"pacs": 0, "named": 1, "other": 1, "name": 0}
        assert selftests.sends(session, study.id)
        counted = funnel.funnel(session)
        with_it = len(list(cohort.reference_people(session, "imat_fraction", definition="d", without=())))
        session.query(SelfTest).delete()
        count = session.query(Series).filter_by(study_id=study.id).count()
        assert funnel.funnel(session).received == counted.received + max(count, 1)
        without_it = cohort.reference_people(session, "imat_fraction", definition="d", without=())
        assert len(list(without_it)) == with_it + 1


MEASURES = {"compartment_ml": None, "imat_fraction": None}


def beside(left, right):
    truth = paraspinal_phantom(slices=5)
    sides = {
        "left": (truth.lean_left_ml + truth.fat_left_ml, truth.fat_left_ml),
        "right": (truth.lean_right_ml + truth.fat_right_ml, truth.fat_right_ml),
    }
    measures = {
        side: {"compartment_ml": sides[of][0], "imat_fraction": sides[of][1] / sides[of][0]}
        for side, of in (("left", left), ("right", right))
    }
    test = selftest._Test(
        sessions=None, study_uid="1.2", peers=(), terms=selftest.Terms(), told=lambda *_: None
    )
    test._compare({"measures": measures}, truth)
    return test


def test_swapped_sides_are_found():
    assert len(beside("left", "right").measures) == 4
    with pytest.raises(selftest._Ended, match="differs"):
        beside("right", "left")


def test_without_any_measure_it_does_not_pass():
    test = selftest._Test(
        sessions=None, study_uid="1.2", peers=(), terms=selftest.Terms(), told=lambda *_: None
    )
    with pytest.raises(selftest._Ended, match="differs"):
        test._compare({"measures": {"left": MEASURES, "right": MEASURES}}, paraspinal_phantom(slices=5))
