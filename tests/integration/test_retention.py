"""What is finished and old goes; what is unfinished, young or held stays."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select, update

from service.core.status import AnalysisState, DeliveryState, OutputKind
from service.db import deliveries, orders, patients, queries
from service.db import retention as rows
from service.db.retention import Kept
from service.db.session import reading
from service.db.tables import (
    Analysis,
    AuditEntry,
    Base,
    Delivery,
    Edit,
    Instance,
    LegalHold,
    ReplayOrder,
    Series,
    Study,
)
from service.dicom.spool import Spool
from service.errors import InvalidRequest, SpoolFull
from service.files import one_at_a_time
from service.pipeline import close as closing
from service.pipeline import retention
from service.pipeline.close import Closing
from service.pipeline.retention import LOCK, ClockGuard, Terms
from tests.make.databases import both_databases, database_url  # noqa: F401
from tests.make.received import NOW, measured_result, take_in
from tests.make.rows import fill_empty_tables
from tests.make.series import mr_series

QUIET = timedelta(seconds=60)
CLOSED = NOW + 2 * QUIET
CLOSING = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
OLD = CLOSED + timedelta(days=31)
TERMS = Terms.in_days(pixels=30, results=60, rows=90)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def spool(home):
    return Spool(home / "spool")


@pytest.fixture
def images(tmp_path):
    return mr_series(tmp_path / "sent")


@pytest.fixture
def finished(sessions, spool, home, images):
    """One series that was measured, with one object that a peer has; the analysis."""
    take_in(sessions, spool, images)
    (analysis_id,) = closing.close_series(sessions, spool, now=CLOSED, closing=CLOSING)
    folder = home / "results" / str(analysis_id) / "attempt-1"
    folder.mkdir(parents=True)
    (folder / "seg.dcm").write_bytes(b"segments")
    with sessions.begin() as db:
        claim = queries.claim_analysis(db, analysis_id, owner="one", now=CLOSED)
        result = measured_result(input_digest=claim.input_digest, result_path=str(folder.relative_to(home)))
        queries.save_finding(db, claim, result, now=CLOSED)
        facts = deliveries.OutputFacts(
            kind=OutputKind.SEG, sop_class_uid="1.2", sop_instance_uid="1.2.3.9",
            path=f"{result.result_path}/seg.dcm", sha256="0", size=8,
        )  # fmt: skip
        made = deliveries.add_outputs(db, analysis_id, [facts])
        deliveries.plan(db, made, peer="pacs", kinds=["SEG"], now=CLOSED)
        (parcel,) = deliveries.claim_deliveries(db, analysis_id, peer="pacs", now=CLOSED)
        deliveries.mark_sent(db, parcel, status=0, now=CLOSED)
    return analysis_id


def purge(sessions, home, now=OLD, terms=TERMS):
    return retention.purge(sessions, home, terms, now=now)


def one(sessions, table):
    with reading(sessions) as db:
        return db.scalars(select(table)).one()


def images_left(home):
    return len(list((home / "spool").rglob("*.dcm")))


def change(sessions, table, **values):
    with sessions.begin() as db:
        db.execute(update(table).values(**values))


@both_databases
def test_each_kind_goes_in_its_own_time_and_the_audit_stays(sessions, home, images, finished):
    assert purge(sessions, home, OLD - timedelta(days=2)) == {"pixels": 0, "results": 0, "rows": 0}
    assert images_left(home) == len(images)

    assert purge(sessions, home) == {Kept.PIXELS: 1, Kept.RESULTS: 0, Kept.ROWS: 0}
    assert images_left(home) == 0
    assert one(sessions, Series).pixels_purged_at == OLD
    assert one(sessions, Analysis).state == AnalysisState.MEASURED
    assert (home / "results" / str(finished)).is_dir()

    assert purge(sessions, home, OLD + timedelta(days=30))[Kept.RESULTS] == 1
    assert not (home / "results" / str(finished)).exists()
    assert one(sessions, Analysis).finding == {}

    assert purge(sessions, home, OLD + timedelta(days=60))[Kept.ROWS] == 1
    with reading(sessions) as db:
        tables = {
            table.name
            for table in Base.metadata.sorted_tables
            if db.scalar(select(func.count()).select_from(table))
        }
        said = db.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert tables - {"peer_circuits"} == {"audit"}
    assert said == ["series_received", "pixels_purged", "results_purged", "rows_purged"]


def test_what_a_dead_attempt_or_replay_left_goes_too(sessions, home, images, finished):
    """No row names these files: their pictures go with the images, the rest before the rows."""
    left = home / "results" / str(finished)
    for name in ("attempt-7", "replay-1-1"):
        (left / name).mkdir()
        for kind in ("slices.zip", "report.pdf"):
            (left / name / kind).write_bytes(b"half done")
    purge(sessions, home)
    assert (
        sorted(path.name for path in left.glob("*/*") if path.read_bytes() == b"half done")
        == ["report.pdf"] * 2
    )
    purge(sessions, home, OLD + timedelta(days=30))
    assert purge(sessions, home, OLD + timedelta(days=60))[Kept.ROWS] == 1
    assert not left.exists()


def about_studies():
    """Every table whose rows belong to a study, by themselves or by what they refer to."""
    found = {Study.__table__}
    for table in Base.metadata.sorted_tables:
        if any(key.column.table in found for key in table.foreign_keys):
            found.add(table)
    return found


@both_databases
def test_no_table_keeps_or_hides_a_row_about_a_study_that_goes(sessions, home, images, finished):
    """Whatever tables there are: a patient is handed out all rows, and erased from all."""
    with sessions.begin() as db:
        fill_empty_tables(db.connection())
        db.execute(delete(LegalHold))
        told = {name: len(lines) for name, lines in patients.rows_of(db, 1)}
    names = {table.name for table in about_studies()} - {"legal_holds"}
    assert {"edits", "replay_orders", "population", "reviews", "set_aside"} < names
    assert [name for name in sorted(names) if not told.get(name)] == []
    assert retention.remove_study(sessions, home, 1, now=OLD)
    with reading(sessions) as db:
        left = {table.name: db.scalar(select(func.count()).select_from(table)) for table in about_studies()}
    assert {name for name, count in left.items() if count} == set()
    assert images_left(home) == 0


def test_without_times_everything_is_kept(sessions, home, images, finished):
    assert purge(sessions, home, terms=Terms()) == {}
    assert images_left(home) == len(images)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (Analysis, {"state": AnalysisState.READY}),
        (Analysis, {"state": AnalysisState.RUNNING}),
        (Series, {"state": "receiving"}),
        (Delivery, {"state": DeliveryState.PENDING}),
        (Delivery, {"state": DeliveryState.SENDING}),
        (Delivery, {"confirm_at": OLD}),
        (Delivery, {"confirmed_at": OLD - timedelta(days=1)}),
        (Analysis, {"finished_at": OLD - timedelta(days=1)}),
        (Series, {"last_at": OLD - timedelta(days=1)}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else value.__tablename__,
)
def test_unfinished_and_recent_work_is_never_touched(sessions, home, images, finished, table, values):
    change(sessions, table, **values)
    assert purge(sessions, home)[Kept.PIXELS] == 0
    assert images_left(home) == len(images)


@both_databases
def test_what_a_person_asked_for_is_waited_for(sessions, home, images, finished):
    """A replay that nobody has made yet, and an edited segmentation of which nothing came yet."""
    with sessions.begin() as db:
        db.add(ReplayOrder(analysis_id=finished, actor="rita", ordered_at=OLD))
    assert purge(sessions, home)[Kept.PIXELS] == 0
    change(sessions, ReplayOrder, finished_at=OLD)
    with sessions.begin() as db:
        series_id = db.scalars(select(Series.id)).one()
        seg = {
            "sop_instance_uid": "2.25.7",
            "sop_class_uid": "1.2",
            "path": "ed/it.dcm",
            "sha256": "0",
            "size": 1,
        }
        db.add(Edit(series_id=series_id, peer="viewer", received_at=CLOSED, **seg))
    assert purge(sessions, home)[Kept.PIXELS] == 0
    assert images_left(home) == len(images)
    change(sessions, Edit, outcome="edit_failed")
    assert purge(sessions, home)[Kept.PIXELS] == 1
    assert (images_left(home), one(sessions, Edit).path) == (0, "")


@both_databases
def test_a_hold_keeps_everything_until_it_is_released(sessions, home, images, finished):
    study = one(sessions, Study)
    with sessions.begin() as db:
        rows.set_hold(db, study.id, reason="court", actor="anna", now=NOW)
    assert purge(sessions, home, OLD + timedelta(days=365)) == {"pixels": 0, "results": 0, "rows": 0}
    with reading(sessions) as db:
        (hold,) = rows.list_holds(db)
    assert (hold.study_uid, hold.reason, hold.actor) == (study.study_uid, "court", "anna")
    with sessions.begin() as db:
        rows.release_hold(db, study.id, actor="anna", now=NOW)
    assert purge(sessions, home)[Kept.PIXELS] == 1
    with reading(sessions) as db:
        actions = db.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert actions == ["series_received", "hold_set", "hold_released", "pixels_purged"]


def test_a_hold_says_why_and_is_released_once(sessions, finished):
    study = one(sessions, Study)
    with pytest.raises(InvalidRequest), sessions.begin() as db:
        rows.set_hold(db, study.id, reason="  ", actor="anna", now=NOW)
    with pytest.raises(InvalidRequest), sessions.begin() as db:
        rows.release_hold(db, study.id, actor="anna", now=NOW)
    with reading(sessions) as db:
        assert db.scalars(select(LegalHold)).all() == []


def test_what_a_crash_left_is_taken_away_next_time(sessions, home, images, finished, monkeypatch):
    monkeypatch.setattr(retention, "_remove_images", lambda *_: None)
    purge(sessions, home)
    assert images_left(home) == len(images)
    monkeypatch.undo()
    purge(sessions, home)
    assert images_left(home) == 0
    with reading(sessions) as db:
        assert set(db.scalars(select(Instance.path))) == {""}


def test_an_image_that_comes_while_it_is_being_purged_is_kept_or_not_promised(
    sessions, spool, home, images, finished, monkeypatch
):
    """The sender is told SUCCESS only of what stays; it may be told to come again."""
    monkeypatch.setattr(retention, "_remove_images", lambda *_: None)
    purge(sessions, home)
    monkeypatch.undo()
    take_in(sessions, spool, images[:2], now=OLD)
    purge(sessions, home)
    assert images_left(home) == len(images)

    change(sessions, Series, pixels_purged_at=OLD, state="closed")
    purge(sessions, home, OLD)
    original = spool.keep

    def keep_and_lose(*arguments, **named):
        kept = original(*arguments, **named)
        spool.path(kept.path).unlink()
        return kept

    monkeypatch.setattr(spool, "keep", keep_and_lose)
    with pytest.raises(SpoolFull):
        take_in(sessions, spool, images[:1], now=OLD)


def test_a_hold_saves_what_was_marked_but_is_still_there(sessions, home, images, finished, monkeypatch):
    monkeypatch.setattr(retention, "_remove_images", lambda *_: None)
    purge(sessions, home)
    monkeypatch.undo()
    with sessions.begin() as db:
        rows.set_hold(db, one(sessions, Study).id, reason="court", actor="anna", now=NOW)
    purge(sessions, home)
    assert images_left(home) == len(images)
    assert one(sessions, Series).pixels_purged_at is None


def test_a_clock_that_jumped_purges_nothing_by_itself(sessions, home, images, finished):
    steady = [0.0]
    guard = ClockGuard(started=OLD, steady_clock=lambda: steady[0])
    later = timedelta(minutes=10)
    assert not guard.trusts(sessions, now=OLD)
    steady[0] = later.total_seconds()
    # Nothing happened in the ledger for longer than a month before the start.
    assert not guard.trusts(sessions, now=OLD + later)
    guard = ClockGuard(started=CLOSED, steady_clock=lambda: steady[0])
    steady[0] += later.total_seconds()
    assert guard.trusts(sessions, now=CLOSED + later)
    assert not guard.trusts(sessions, now=CLOSED + timedelta(days=100))


def test_a_file_that_cannot_be_removed_holds_up_no_other(sessions, home, images, finished):
    stuck = next((home / "spool").rglob("*.dcm"))
    stuck.unlink()
    stuck.mkdir()
    purge(sessions, home)
    assert images_left(home) == 1
    with reading(sessions) as db:
        left = db.scalars(select(Instance.path).where(Instance.path != "")).all()
    assert left == [str(stuck.relative_to(home / "spool"))]


def test_only_one_purges_at_a_time_and_none_during_a_backup(sessions, home, images, finished):
    with one_at_a_time(home / LOCK) as mine:
        assert mine
        found = []
        thread = threading.Thread(target=lambda: found.append(purge(sessions, home)))
        thread.start()
        thread.join()
        assert found == [None]
    assert images_left(home) == len(images)


def test_what_is_gone_can_be_neither_run_nor_sent_again(sessions, home, finished):
    delivery = one(sessions, Delivery)
    purge(sessions, home, OLD + timedelta(days=31))
    change(sessions, Delivery, state=DeliveryState.DEAD)
    with pytest.raises(InvalidRequest) as told, sessions.begin() as db:
        orders.order_rerun(db, finished, now=OLD)
    assert told.value.reason.code == "pixels_purged"
    with pytest.raises(InvalidRequest) as told, sessions.begin() as db:
        orders.order_retry(db, delivery.id, now=OLD)
    assert told.value.reason.code == "results_purged"


@both_databases
def test_a_late_image_of_a_purged_series_is_kept_but_half_a_series_is_not_measured(
    sessions, spool, home, tmp_path, images
):
    take_in(sessions, spool, images[:-1])
    (first,) = closing.close_series(sessions, spool, now=CLOSED, closing=CLOSING)
    with sessions.begin() as db:
        claim = queries.claim_analysis(db, first, owner="one", now=CLOSED)
        queries.save_finding(db, claim, measured_result(input_digest=claim.input_digest), now=CLOSED)
    purge(sessions, home)
    take_in(sessions, spool, images[-1:], now=OLD)
    purge(sessions, home)
    assert images_left(home) == 1
    assert closing.close_series(sessions, spool, now=OLD + QUIET, closing=CLOSING) == []
    assert one(sessions, Series).state == "closed"
    assert one(sessions, Analysis).state == AnalysisState.MEASURED

    # The whole series sent again is measured like any other late image would have it.
    take_in(sessions, spool, images, now=OLD + QUIET)
    assert images_left(home) == len(images)
    (second,) = closing.close_series(sessions, spool, now=OLD + 3 * QUIET, closing=CLOSING)
    assert second != first
    assert one(sessions, Series).pixels_purged_at is None


def test_the_same_series_sent_again_after_its_purge_changes_nothing(sessions, spool, home, images, finished):
    purge(sessions, home)
    take_in(sessions, spool, images, now=OLD)
    assert images_left(home) == len(images)
    assert closing.close_series(sessions, spool, now=OLD + QUIET, closing=CLOSING) == []
    assert one(sessions, Analysis).state == AnalysisState.MEASURED
    assert purge(sessions, home, OLD + timedelta(days=29))[Kept.PIXELS] == 0
    assert purge(sessions, home, OLD + timedelta(days=32))[Kept.PIXELS] == 1
    assert images_left(home) == 0
