"""The rows, on both databases: nothing lost, nothing doubled, nothing taken twice."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select

from service.core.status import AnalysisState, CompletionReason, DeliveryState, OutputKind, SeriesState
from service.db import deliveries, ledger, queries, retention, session, versions
from service.db.leases import Lease
from service.db.ledger import Recorded
from service.db.session import reading, require_current, upgrade
from service.db.tables import Analysis, Base, Delivery, Event, Instance, Series, Study
from service.errors import LeaseLost, Reason, SchemaMismatch
from service.pipeline.sweep import Stillness
from tests.make.received import NOW, instance, measured_result, ready_analysis, set_input

QUIET, CAP = timedelta(seconds=60), timedelta(minutes=30)
FAULT = Reason("fault", "It broke.")


def record(sessions, *args, now=NOW, **kwargs):
    with sessions.begin() as db:
        return ledger.record_instance(db, instance(*args, **kwargs), now=now)


def all_of(sessions, table):
    with reading(sessions) as db:
        return db.scalars(select(table).order_by(table.id)).all()


def claim(sessions, analysis_id, owner="one", now=NOW):
    with sessions.begin() as db:
        return queries.claim_analysis(db, analysis_id, owner=owner, now=now)


def result(**changes):
    images = {"finding": {"schema": "x"}, "contrast": "t2_tse", "region": "lumbar"}
    return measured_result(**{**images, "result_path": "results/1/attempt-1", **changes})


def publish(sessions, held, **changes):
    with sessions.begin() as db:
        queries.save_finding(db, held, result(**changes), now=NOW)


# Revisions


def test_the_migrations_make_the_tables_of_this_program(sessions, database_url):
    with sessions.kw["bind"].connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert upgrade(database_url) == session.revision(database_url)


def test_a_database_without_tables_is_refused_until_it_is_upgraded(empty_database_url):
    with pytest.raises(SchemaMismatch, match="db upgrade"):
        require_current(empty_database_url)
    upgrade(empty_database_url)
    require_current(empty_database_url)


def test_going_back_leaves_no_table_of_ours(sessions, database_url):
    command.downgrade(session.alembic_config(database_url), "base")
    assert set(inspect(sessions.kw["bind"]).get_table_names()) <= {"alembic_version"}


def test_a_number_is_never_given_again(sessions):
    """The audit record names studies and analyses by their numbers, and outlives them."""
    former = ready_analysis(sessions)
    with sessions.begin() as db:
        study_id = db.scalars(select(Study.id)).one()
        retention.delete_study(db, study_id, now=NOW)
    assert ready_analysis(sessions) > former
    assert [study.id > study_id for study in all_of(sessions, Study)] == [True]


# Received images


def test_a_first_image_makes_its_study_and_its_series(sessions):
    assert record(sessions) is Recorded.NEW
    assert [row.patient_name for row in all_of(sessions, Study)] == ["Doe^Jane"]
    assert [row.state for row in all_of(sessions, Series)] == [SeriesState.RECEIVING]
    assert [row.received_at for row in all_of(sessions, Instance)] == [NOW]


def test_the_same_image_again_changes_nothing(sessions):
    record(sessions)
    assert record(sessions, now=NOW + QUIET) is Recorded.DUPLICATE
    assert [row.last_at for row in all_of(sessions, Series)] == [NOW]
    assert len(all_of(sessions, Instance)) == 1


def test_other_bytes_under_a_taken_identifier_are_a_conflict_and_the_first_stay(sessions):
    record(sessions)
    first = all_of(sessions, Instance)[0].sha256
    assert record(sessions, content="other") is Recorded.CONFLICT
    assert [row.sha256 for row in all_of(sessions, Instance)] == [first]


def test_many_associations_at_once_record_each_image_once(sessions):
    work = [(number, series) for number in range(12) for series in (1, 2)] * 3
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda item: record(sessions, item[0], series=item[1]), work))
    assert outcomes.count(Recorded.NEW) == 24
    assert outcomes.count(Recorded.DUPLICATE) == 48
    assert (len(all_of(sessions, Study)), len(all_of(sessions, Series))) == (1, 2)
    assert len(all_of(sessions, Instance)) == 24


def test_counting_from_many_threads_loses_nothing(sessions):
    def count(_):
        with sessions.begin() as db:
            ledger.count(db, "own_results_dropped")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
    with reading(sessions) as db:
        assert ledger.counters(db) == {"own_results_dropped": 40}


def test_rejected_callers_are_added_up_and_the_list_stays_short(sessions):
    def reject(title):
        with sessions.begin() as db:
            ledger.reject_caller(
                db, calling_ae=title, called_ae="X", address="10.0.0.1", reason="calling_ae_unknown", now=NOW
            )

    for number in range(ledger.REMEMBERED_CALLERS + 5):
        reject(f"A{number}")
    reject("A204")
    rows = all_of(sessions, ledger.RejectedCaller)
    assert len(rows) == ledger.REMEMBERED_CALLERS
    assert rows[-1].count == 2


# Closing


def candidates(sessions, now):
    with reading(sessions) as db:
        return ledger.open_series(db, now=now, quiet=QUIET, hard_cap=CAP)


def close(sessions, series, now):
    with sessions.begin() as db:
        return ledger.close_series(db, series, reason=CompletionReason.QUIET, now=now)


def test_a_series_is_looked_at_when_nothing_came_for_the_quiet_time(sessions):
    record(sessions)
    assert candidates(sessions, NOW + QUIET / 2) == []
    assert len(candidates(sessions, NOW + QUIET)) == 1


def test_only_one_of_two_sweepers_closes_a_series(sessions):
    record(sessions)
    (series,) = candidates(sessions, NOW + QUIET)
    assert close(sessions, series, NOW + QUIET)
    assert not close(sessions, series, NOW + QUIET)


def test_an_image_that_came_meanwhile_keeps_the_series_open(sessions):
    record(sessions)
    (series,) = candidates(sessions, NOW + QUIET)
    record(sessions, 2, now=NOW + QUIET)
    assert not close(sessions, series, NOW + QUIET)
    assert [row.state for row in all_of(sessions, Series)] == [SeriesState.RECEIVING]


def test_an_image_of_the_very_same_moment_keeps_the_series_open_too(sessions):
    record(sessions)
    (series,) = candidates(sessions, NOW + QUIET)
    record(sessions, 2, now=NOW)
    assert not close(sessions, series, NOW + QUIET)
    assert [row.state for row in all_of(sessions, Series)] == [SeriesState.RECEIVING]


def test_a_late_image_opens_the_series_again_with_a_hard_cap_of_its_own(sessions):
    record(sessions)
    (series,) = candidates(sessions, NOW + QUIET)
    close(sessions, series, NOW + QUIET)
    later = NOW + 3 * CAP
    record(sessions, 2, now=later)
    assert [row.state for row in all_of(sessions, Series)] == [SeriesState.RECEIVING]
    assert candidates(sessions, later) == []
    assert candidates(sessions, later + QUIET)[0].since == later
    assert "series_reopened" in [row.name for row in all_of(sessions, Event)]


# Analyses and leases


def test_only_one_of_many_workers_gets_an_analysis(sessions):
    analysis_id = ready_analysis(sessions)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda n: claim(sessions, analysis_id, f"w{n}"), range(16)))
    assert len([item for item in claims if item is not None]) == 1


def test_the_attempt_is_counted_at_the_claim(sessions):
    held = claim(sessions, ready_analysis(sessions))
    assert held.attempt == 1
    assert all_of(sessions, Analysis)[0].state == AnalysisState.RUNNING


def test_an_analysis_is_not_claimed_before_its_time(sessions):
    analysis_id = ready_analysis(sessions)
    held = claim(sessions, analysis_id)
    with sessions.begin() as db:
        queries.give_back(db, held, reason=FAULT, max_attempts=3, not_before=NOW + QUIET, now=NOW)
    assert claim(sessions, analysis_id, now=NOW) is None
    assert claim(sessions, analysis_id, now=NOW + QUIET).attempt == 2


def test_after_the_allowed_attempts_it_is_set_aside_with_its_reason(sessions):
    analysis_id = ready_analysis(sessions)
    states = []
    for _ in range(3):
        held = claim(sessions, analysis_id)
        with sessions.begin() as db:
            states.append(queries.give_back(db, held, reason=FAULT, max_attempts=3, not_before=NOW, now=NOW))
    assert states == [AnalysisState.READY, AnalysisState.READY, AnalysisState.FAILED]
    (row,) = all_of(sessions, Analysis)
    assert (row.state, row.reason_code, row.finished_at) == (AnalysisState.FAILED, "fault", NOW)
    assert claim(sessions, analysis_id) is None


def test_a_lease_whose_heartbeat_moved_does_not_expire(sessions):
    analysis_id = ready_analysis(sessions)
    held = claim(sessions, analysis_id)
    steady = [0.0]
    watch = Stillness(seconds=60, clock=lambda: steady[0])

    def look():
        with reading(sessions) as db:
            return watch.expired(queries.running_analyses(db))

    assert look() == []
    steady[0] = 59
    with sessions.begin() as db:
        assert queries.beat_analysis(db, held)
    assert look() == []
    steady[0] = 100
    assert look() == []
    steady[0] = 119
    assert [lease.id for lease in look()] == [analysis_id]


def test_a_worker_that_lost_its_lease_publishes_nothing(sessions):
    analysis_id = ready_analysis(sessions)
    late = claim(sessions, analysis_id, "late")
    with reading(sessions) as db:
        (lease,) = queries.running_analyses(db)
    with sessions.begin() as db:
        queries.give_back(db, lease, reason=FAULT, max_attempts=3, not_before=NOW, now=NOW)
    with pytest.raises(LeaseLost):
        publish(sessions, late)
    second = claim(sessions, analysis_id, "second")
    with pytest.raises(LeaseLost):
        publish(sessions, late)
    with sessions.begin() as db:
        assert not queries.beat_analysis(db, late)
    publish(sessions, second)
    assert all_of(sessions, Analysis)[0].state == AnalysisState.MEASURED


def test_a_lease_that_moved_since_it_was_looked_at_is_not_taken_away(sessions):
    held = claim(sessions, ready_analysis(sessions))
    with reading(sessions) as db:
        (lease,) = queries.running_analyses(db)
    with sessions.begin() as db:
        queries.beat_analysis(db, held)
    with sessions.begin() as db:
        assert queries.give_back(db, lease, reason=FAULT, max_attempts=3, not_before=NOW, now=NOW) is None


def ready_again(sessions, digest, stacks=(0,)):
    with sessions.begin() as db:
        series = db.scalars(select(Series)).one()
        return versions.make_ready(
            db,
            study_id=series.study_id,
            series_ids=[series.id],
            sets=[set_input(series.id, number, digest) for number in stacks],
            now=NOW,
        )


def test_the_same_images_are_not_analysed_twice(sessions):
    ready_analysis(sessions)
    assert ready_again(sessions, "d1") == []


def test_more_images_make_a_new_version_that_stops_the_one_that_has_not_finished(sessions):
    first = ready_analysis(sessions)
    held = claim(sessions, first)
    (second,) = ready_again(sessions, "d2")
    rows = all_of(sessions, Analysis)
    assert [(row.version, row.state) for row in rows] == [(1, "superseded"), (2, "ready")]
    assert rows[1].supersedes_id == first
    with pytest.raises(LeaseLost):
        publish(sessions, held)
    assert claim(sessions, second).version == 2


def test_a_finished_version_stays_current_until_its_successor_is_ready_to_be(sessions):
    publish(sessions, claim(sessions, ready_analysis(sessions)))
    ready_again(sessions, "d2")
    assert [row.state for row in all_of(sessions, Analysis)] == ["measured", "ready"]


def test_an_analysis_of_a_stack_that_is_gone_is_superseded(sessions):
    ready_analysis(sessions)
    ready_again(sessions, "d2", stacks=(0, 1))
    ready_again(sessions, "d2", stacks=(0,))
    states = {row.inputs[0].stack: row.state for row in _with_inputs(sessions)}
    assert states == {0: "ready", 1: "superseded"}


def _with_inputs(sessions):
    with sessions() as db:
        rows = db.scalars(select(Analysis).order_by(Analysis.id)).all()
        return [row for row in rows if row.inputs]


# Deliveries


def with_outputs(sessions, uids=("1.9.1", "1.9.2"), digest="d1"):
    held = claim(sessions, ready_analysis(sessions, digest=digest))
    publish(sessions, held)
    return held, add_outputs(sessions, held.analysis_id, uids)


def add_outputs(sessions, analysis_id, uids):
    facts = [
        deliveries.OutputFacts(
            kind=kind, sop_class_uid="1.2", sop_instance_uid=uid, path=f"r/{uid}", sha256="0", size=1
        )
        for kind, uid in zip((OutputKind.SEG, OutputKind.SR), uids, strict=True)
    ]
    with sessions.begin() as db:
        return deliveries.add_outputs(db, analysis_id, facts)


def plan(sessions, rows, peer="pacs", kinds=("SEG", "SR")):
    with sessions.begin() as db:
        return deliveries.plan(db, rows, peer=peer, kinds=kinds, now=NOW)


def take(sessions, analysis_id, peer="pacs"):
    with sessions.begin() as db:
        return deliveries.claim_deliveries(db, analysis_id, peer=peer, now=NOW)


def test_each_peer_gets_each_object_that_it_asked_for_once(sessions):
    _held, rows = with_outputs(sessions)
    assert len(plan(sessions, rows)) == 2
    assert len(plan(sessions, rows, peer="viewer", kinds=("SR", "PDF"))) == 1
    assert plan(sessions, rows) == []


def test_only_one_worker_sends_a_result_to_a_peer(sessions):
    held, rows = with_outputs(sessions)
    plan(sessions, rows)
    with ThreadPoolExecutor(4) as pool:
        parcels = list(pool.map(lambda _: take(sessions, held.analysis_id), range(8)))
    assert sorted(len(item) for item in parcels) == [0] * 7 + [2]


def test_what_is_due_is_rung_once_for_each_result_and_peer(sessions):
    held, rows = with_outputs(sessions)
    plan(sessions, rows)
    plan(sessions, rows, peer="gone")
    with reading(sessions) as db:
        due = deliveries.due(db, peers=["pacs"], now=NOW)
    assert [(analysis, peer) for _, analysis, peer in due] == [(held.analysis_id, "pacs")]


def test_an_outcome_from_a_sender_that_lost_its_lease_is_not_written(sessions):
    held, rows = with_outputs(sessions)
    plan(sessions, rows)
    first, second = take(sessions, held.analysis_id)
    with reading(sessions) as db:
        lease = next(item for item in deliveries.running_deliveries(db) if item.id == first.id)
    with sessions.begin() as db:
        assert deliveries.mark_retry(db, lease, status=None, reason=FAULT, next_at=NOW)
    with sessions.begin() as db:
        assert not deliveries.mark_sent(db, first, status=0, now=NOW)
        assert deliveries.mark_sent(db, second, status=0, now=NOW)
    (again,) = take(sessions, held.analysis_id)
    assert again.attempt == 2


def test_a_lease_of_a_sender_that_lives_is_not_taken(sessions):
    held, rows = with_outputs(sessions)
    plan(sessions, rows)
    parcels = take(sessions, held.analysis_id)
    with sessions.begin() as db:
        assert deliveries.beat_deliveries(db, parcels)
    stale = Lease(id=parcels[0].id, attempt=1, heartbeat=1)
    with sessions.begin() as db:
        assert not deliveries.mark_retry(db, stale, status=None, reason=FAULT, next_at=NOW)


def newer_result(sessions, uids=("1.9.1", "1.9.3")):
    """A second version with these objects, published in the place of the first."""
    (second,) = ready_again(sessions, "d2")
    held = claim(sessions, second)
    publish(sessions, held, input_digest="d2")
    rows = add_outputs(sessions, second, uids)
    with sessions.begin() as db:
        versions.supersede(db, [item.id for item in versions.earlier_results(db, held)], now=NOW)
    return rows


def retry(sessions, parcel):
    with sessions.begin() as db:
        return deliveries.mark_retry(db, parcel, status=0xA700, reason=FAULT, next_at=NOW)


def test_a_newer_result_drops_what_the_older_had_not_sent_but_keeps_equal_objects(sessions):
    held, rows = with_outputs(sessions)
    plan(sessions, rows)
    newer_result(sessions)
    with sessions.begin() as db:
        deliveries.drop_unsent(db, [held.analysis_id], now=NOW)
    states = {row.output_id: (row.state, row.error_code) for row in all_of(sessions, Delivery)}
    assert states[rows["SEG"]] == (DeliveryState.PENDING, None)
    assert states[rows["SR"]] == (DeliveryState.DEAD, "superseded")


def test_what_was_being_sent_when_a_newer_result_came_is_not_sent_again(sessions):
    held, rows = with_outputs(sessions)
    plan(sessions, rows)
    kept, dropped = take(sessions, held.analysis_id)
    newer_result(sessions)
    assert retry(sessions, kept) is DeliveryState.PENDING
    assert retry(sessions, dropped) is DeliveryState.DEAD
    states = {row.output_id: (row.state, row.error_code) for row in all_of(sessions, Delivery)}
    assert states == {
        rows["SEG"]: (DeliveryState.PENDING, "fault"),
        rows["SR"]: (DeliveryState.DEAD, "superseded"),
    }


def test_a_superseded_object_is_neither_offered_nor_taken(sessions):
    held, rows = with_outputs(sessions)
    plan(sessions, rows, kinds=("SR",))
    newer_result(sessions)
    with reading(sessions) as db:
        assert deliveries.due(db, peers=["pacs"], now=NOW) == []
    assert take(sessions, held.analysis_id) == []


def test_what_a_stack_that_is_gone_had_not_sent_is_given_up(sessions):
    _held, rows = with_outputs(sessions)
    plan(sessions, rows)
    ready_again(sessions, "d2", stacks=(1,))
    states = [(row.state, row.error_code) for row in all_of(sessions, Delivery)]
    assert states == [(DeliveryState.DEAD, "superseded")] * 2


def test_a_sender_and_a_newer_result_that_meet_leave_nothing_waiting(sessions):
    """The sender gives back while the newer result is being published: one of the two sees the other."""
    held, rows = with_outputs(sessions)
    plan(sessions, rows, kinds=("SR",))
    (parcel,) = take(sessions, held.analysis_id)
    with ThreadPoolExecutor(1) as pool:
        with sessions.begin() as db:
            versions.supersede(db, [held.analysis_id], now=NOW)
            deliveries.drop_unsent(db, [held.analysis_id], now=NOW)
            given_back = pool.submit(retry, sessions, parcel)
            wait([given_back], timeout=0.3)
        given_back.result(timeout=30)
    assert [row.state for row in all_of(sessions, Delivery)] == [DeliveryState.DEAD]
