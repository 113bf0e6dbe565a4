"""The funnel: every received thing is in one place, the numbers add up, and each leads to its studies."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest

from service.core.funnel import STEPS, Place, Step
from service.core.status import AnalysisState
from service.db.funnel import Wanted, funnel, list_studies
from service.db.session import make_sessions, reading
from service.db.tables import Study
from tests.make import funnel as made
from tests.make.databases import bring_up
from tests.make.funnel import NOW

SINCE = (None, NOW - timedelta(days=1), NOW - timedelta(days=30))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def scattered(request, tmp_path_factory):
    """A database of studies in random states, once of each kind."""
    url = f"sqlite:///{tmp_path_factory.mktemp('funnel') / 'a.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    bring_up(url)
    sessions = make_sessions(url)
    with sessions.begin() as session:
        made.scatter(session, Random(4), studies=140)
    yield sessions
    sessions.kw["bind"].dispose()


def everything(session, wanted):
    """All studies of the list, page by page."""
    cursor, found = None, []
    while True:
        page = list_studies(session, wanted, before_id=cursor, limit=40)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_each_thing_is_in_the_place_that_its_rows_tell(scattered):
    seen = set()
    with reading(scattered) as session:
        for since in SINCE:
            found, expected = funnel(session, since=since), made.places(session, since=since)
            wanted = Counter()
            for (place, reason, _), count in expected.items():
                wanted[place, reason] += count
            seen |= {place for place, _ in wanted}
            told = {(loss.place.value, loss.reason): loss.count for loss in found.losses}
            assert told == {key: count for key, count in wanted.items() if key[0] != "confirmed"}
            assert found.confirmed == wanted["confirmed", None]
            assert found.received == wanted.total()
            assert found.flagged == sum(count for (*_, flagged), count in expected.items() if flagged)
    # The world holds every place, or this would prove little.
    assert seen == set(Place)


def test_a_step_and_what_did_not_reach_it_are_the_step_before(scattered):
    with reading(scattered) as session:
        for since in SINCE:
            found = funnel(session, since=since)
            for before, step in pairwise(STEPS):
                lost = sum(loss.count for loss in found.missing(step))
                assert found.counts[step] + lost == found.counts[before], step
            assert found.missing(Step.RECEIVED) == ()
            assert found.under_way <= found.received


def test_every_number_leads_to_as_many_things_of_as_many_studies(scattered):
    with reading(scattered) as session:
        for since in SINCE[2:]:
            for loss in funnel(session, since=since).losses:
                wanted = Wanted(since=since, place=loss.place, reason=loss.reason)
                studies = everything(session, wanted)
                things = [
                    thing
                    for study in studies
                    for thing in study.things
                    if (thing.place, thing.reason_code) == (loss.place, loss.reason)
                ]
                assert len(things) == loss.count, loss
                ids = [study.id for study in studies]
                assert ids == sorted(set(ids), reverse=True)


def test_the_whole_list_holds_everything_that_was_received_once(scattered):
    with reading(scattered) as session:
        for since in SINCE:
            things = [thing for study in everything(session, Wanted(since=since)) for thing in study.things]
            assert len(things) == funnel(session, since=since).received
            analyses = [thing.analysis_id for thing in things if thing.analysis_id is not None]
            assert len(set(analyses)) == len(analyses)


def test_a_result_stands_while_its_next_version_waits_and_when_that_fails(sessions):
    with sessions.begin() as session:
        study = Study(study_uid="1.2", created_at=NOW)
        session.add(study)
        session.flush()
        roles, random = [("image", made.add_series(session, study, Random(1), 0))], Random(1)
        first = made.add_analysis(session, study, roles, 0, 1, AnalysisState.MEASURED, random)
        second = made.add_analysis(session, study, roles, 0, 2, AnalysisState.READY, random)
        first.withdrawn_at, second.undecided = None, False

        def places():
            session.flush()
            found = everything(session, Wanted())
            return [(thing.analysis_id, thing.place) for study in found for thing in study.things]

        assert places() == [(first.id, "not_sent")]
        second.state = AnalysisState.FAILED
        assert places() == [(first.id, "not_sent")]
        first.withdrawn_at = NOW
        assert places() == [(second.id, "failed")]


def test_an_empty_ledger_has_an_empty_funnel(sessions):
    with reading(sessions) as session:
        found = funnel(session)
        assert set(found.counts.values()) == {0}
        assert found.losses == ()
        assert list_studies(session, Wanted(), before_id=None, limit=5).items == ()
