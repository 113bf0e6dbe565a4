"""Other bytes under an identifier that is taken: what they are, what is kept, and what an operator may do."""

from datetime import timedelta

import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian, RLELossless
from sqlalchemy import select

from service.core.status import AnalysisState
from service.db import conflicts as rows
from service.db import ledger, queries, retention
from service.db.reissue import reissue
from service.db.session import reading
from service.db.tables import Analysis, Event, Instance, LegalHold, Series, SetAside, Study
from service.dicom.sameness import difference
from service.dicom.spool import Spool
from service.errors import InvalidRequest
from service.files import one_at_a_time
from service.pipeline import close, conflicts
from service.pipeline import retention as letting_go
from service.pipeline.close import Closing
from tests.make.received import NOW, measured_result, take_in
from tests.make.series import mr_series

QUIET = timedelta(seconds=60)
CLOSING = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
MERGED = {"PatientID": "MERGED-1", "PatientName": "Right^Person", "IssuerOfPatientID": "HOSPITAL"}
SPLIT = {**MERGED, "StudyInstanceUID": "1.2.840.99999.1"}
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "home" / "spool")


def every(sessions, table):
    with reading(sessions) as db:
        return db.scalars(select(table).order_by(table.id)).all()


def send(sessions, spool, tmp_path, name, *, now=NOW, **changes):
    """The same series with these changes, compared as the sweep does."""
    became = take_in(sessions, spool, mr_series(tmp_path / name, changes=changes), now=now)
    compare(sessions, spool, tmp_path, now=now)
    return became


def compare(sessions, spool, tmp_path, *, now=NOW):
    conflicts.look_after(sessions, spool, lock=tmp_path / "home" / "lock", now=now)


def measure(sessions, spool, now=NOW + QUIET):
    """Close what is complete and measure it; the ids of the analyses."""
    made = close.close_series(sessions, spool, now=now, closing=CLOSING)
    for analysis_id in made:
        with sessions.begin() as db:
            claim = queries.claim_analysis(db, analysis_id, owner="x", now=now)
            finding = {"series": {"study_uid": claim.study_uid}}
            result = measured_result(finding=finding, input_digest=claim.input_digest)
            queries.save_finding(db, claim, result, now=now)
    return made


def order(sessions, analysis_id, now=LATER):
    with sessions.begin() as db:
        return reissue(db, analysis_id, actor="olga", now=now)


def counters(sessions):
    with reading(sessions) as db:
        return ledger.counters(db)


def files_in(spool):
    return {path.relative_to(spool.root).as_posix() for path in spool.root.glob("*/*.dcm")}


# What other bytes are


def one(folder, syntax=None, **changes):
    more = {} if syntax is None else {"syntax": syntax}
    return mr_series(folder, positions=[0.0], changes=changes, **more)[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"PatientID": "OTHER"}, ("identity", "patient")),
        ({"IssuerOfPatientID": "HOSPITAL"}, ("identity", "patient")),
        ({"StudyInstanceUID": "1.2.3.4"}, ("identity", "study")),
        ({"PatientSize": "1.5"}, ("identity", "demographics")),
        ({"AccessionNumber": "A-99"}, ("identity", "order")),
        ({"WindowWidth": "500", "WindowCenter": "200"}, ("same_pixels", "header")),
        ({"StudyDescription": "Corrected"}, ("same_pixels", "header")),
        ({"ImagePositionPatient": [0, 0, 55]}, ("conflict", "geometry")),
        ({"RescaleSlope": "2"}, ("conflict", "geometry")),
        ({"PatientID": "OTHER", "PixelSpacing": [2, 2]}, ("conflict", "geometry")),
    ],
)
def test_what_differs_decides_what_the_other_image_is(tmp_path, changes, expected):
    assert difference(one(tmp_path / "a"), one(tmp_path / "b", **changes)) == expected


def test_other_pixels_are_another_image_whatever_the_header_says(tmp_path):
    first = one(tmp_path / "a")
    dataset = pydicom.dcmread(one(tmp_path / "b"))
    pixels = dataset.pixel_array.copy()
    pixels[3, 4] += 1
    dataset.PixelData = pixels.astype(np.uint16).tobytes()
    dataset.save_as(tmp_path / "c.dcm")
    assert difference(first, tmp_path / "c.dcm") == ("conflict", "pixels")


def test_the_same_pixels_in_another_plain_encoding_are_the_same(tmp_path):
    first, other = one(tmp_path / "a"), one(tmp_path / "b", syntax=ImplicitVRLittleEndian, PatientID="X")
    assert difference(first, other) == ("identity", "patient")


def test_what_is_compressed_in_another_way_is_not_compared(tmp_path):
    first, other = one(tmp_path / "a"), one(tmp_path / "b", syntax=RLELossless)
    assert difference(first, other) == ("not_compared", "encoding")
    assert difference(other, one(tmp_path / "c", syntax=RLELossless, PatientID="X"))[0] == "identity"


def test_a_file_that_is_gone_or_none_is_not_compared(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"no DICOM")
    first = one(tmp_path / "a")
    assert difference(first, tmp_path / "x.dcm") == ("not_compared", "unreadable")
    assert difference(first, tmp_path / "none.dcm") == ("not_compared", "unreadable")


# What is kept


def test_a_changed_window_is_counted_and_its_files_are_let_go(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    before = files_in(spool)
    assert set(send(sessions, spool, tmp_path, "b", WindowWidth="500")) == {"conflict"}
    assert files_in(spool) == before
    assert every(sessions, SetAside) == []
    assert counters(sessions)["instances_same_pixels"] == len(before)


def test_other_images_stay_beside_the_first_and_are_told_once(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    first = {row.sha256 for row in every(sessions, Instance)}
    send(sessions, spool, tmp_path, "b", RescaleSlope="2")
    send(sessions, spool, tmp_path, "c", RescaleSlope="2")
    assert {row.sha256 for row in every(sessions, Instance)} == first
    aside = every(sessions, SetAside)
    assert {(row.difference, row.detail, row.count) for row in aside} == {("conflict", "geometry", 2)}
    assert files_in(spool) == {row.path for row in (*aside, *every(sessions, Instance))}
    told = [event.detail for event in every(sessions, Event) if event.name == "instance_conflicts"]
    assert told == [{"images": len(first)}]
    assert measure(sessions, spool, NOW + QUIET) != []


def test_what_could_not_be_compared_is_compared_when_it_comes_again(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    before = files_in(spool)
    take_in(sessions, spool, mr_series(tmp_path / "b", changes=MERGED))
    for path in files_in(spool) - before:
        spool.path(path).unlink()
    compare(sessions, spool, tmp_path)
    assert {row.difference for row in every(sessions, SetAside)} == {"not_compared"}
    send(sessions, spool, tmp_path, "b", now=LATER, **MERGED)
    assert {(row.difference, row.count) for row in every(sessions, SetAside)} == {("identity", 2)}


def test_of_one_image_only_the_newest_others_are_kept(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    for number in range(rows.KEPT_OF_ONE + 2):
        send(
            sessions,
            spool,
            tmp_path,
            f"b{number}",
            now=NOW + timedelta(seconds=number),
            PatientID=f"P{number}",
        )
    images = len(every(sessions, Instance))
    aside = every(sessions, SetAside)
    assert len(aside) == rows.KEPT_OF_ONE * images
    assert {row.patient_id for row in aside} == {"P2", "P3", "P4"}
    assert len(files_in(spool)) == images + len(aside)


def test_a_hold_keeps_them_all_and_a_purge_takes_them_with_the_study(sessions, spool, tmp_path):
    home = tmp_path / "home"
    send(sessions, spool, tmp_path, "a")
    measure(sessions, spool)
    send(sessions, spool, tmp_path, "b", now=NOW + QUIET, RescaleSlope="2")
    terms = letting_go.Terms(pixels=timedelta(days=1))
    (study,) = every(sessions, Study)
    with sessions.begin() as db:
        retention.set_hold(db, study.id, reason="court", actor="a", now=NOW)
    much_later = NOW + timedelta(days=3)
    letting_go.purge(sessions, home, terms, now=much_later)
    assert len(files_in(spool)) == 2 * len(every(sessions, Instance))
    with sessions.begin() as db:
        retention.release_hold(db, study.id, actor="a", now=NOW)
    letting_go.purge(sessions, home, terms, now=NOW + timedelta(hours=24, seconds=30))
    assert files_in(spool) != set(), "what came a minute ago is not old"
    letting_go.purge(sessions, home, terms, now=much_later)
    assert files_in(spool) == set()
    assert every(sessions, SetAside) == []
    letting_go.purge(
        sessions, home, letting_go.Terms.in_days(pixels=1, results=1, rows=1), now=NOW + timedelta(days=9)
    )


def test_nothing_is_let_go_while_a_backup_holds_the_lock(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    with one_at_a_time(tmp_path / "home" / "lock") as mine:
        assert mine
        send(sessions, spool, tmp_path, "b", WindowWidth="500")
        assert len(files_in(spool)) == 2 * len(every(sessions, Instance))
    compare(sessions, spool, tmp_path)
    assert len(files_in(spool)) == len(every(sessions, Instance))


# What an operator may do


def test_a_merge_is_reissued_as_a_new_version_of_the_same_study(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    (old,) = measure(sessions, spool)
    first = {row.sop_instance_uid: row.sha256 for row in every(sessions, Instance)}
    send(sessions, spool, tmp_path, "b", **MERGED)
    assert measure(sessions, spool, LATER) == [], "nothing happens by itself"
    done = order(sessions, old)
    assert (done.series, done.withdrawn) == (1, 0)
    (study,) = every(sessions, Study)
    assert (study.patient_id, study.patient_name) == ("MERGED-1", "Right^Person")
    (series,) = every(sessions, Series)
    assert (series.patient_id, series.issuer_of_patient_id, series.state) == (
        "MERGED-1",
        "HOSPITAL",
        "receiving",
    )
    aside = every(sessions, SetAside)
    assert {row.difference for row in aside} == {"replaced"}
    assert sorted(row.sha256 for row in aside) == sorted(first.values())
    assert {row.patient_id for row in aside} != {"MERGED-1"}
    (new,) = measure(sessions, spool, LATER + QUIET)
    versions = {
        row.id: (row.version, row.supersedes_id, row.withdrawn_at) for row in every(sessions, Analysis)
    }
    assert versions[new] == (2, old, None)
    assert files_in(spool) == {row.path for row in (*aside, *every(sessions, Instance))}


def test_a_study_that_was_split_is_withdrawn_where_it_was_and_measured_where_it_belongs(
    sessions, spool, tmp_path
):
    send(sessions, spool, tmp_path, "a")
    (old,) = measure(sessions, spool)
    send(sessions, spool, tmp_path, "b", **SPLIT)
    with sessions.begin() as db:
        retention.set_hold(db, every(sessions, Study)[0].id, reason="court", actor="a", now=NOW)
    assert order(sessions, old).withdrawn == 1
    before, after = every(sessions, Study)
    assert (after.study_uid, after.patient_id) == (SPLIT["StudyInstanceUID"], "MERGED-1")
    assert before.patient_id != "MERGED-1"
    assert {row.study_id for row in every_hold(sessions)} == {before.id, after.id}
    (withdrawn,) = every(sessions, Analysis)
    assert (withdrawn.withdrawal_reason, withdrawn.withdrawn_by) == ("wrong_patient", "olga")
    (new,) = measure(sessions, spool, LATER + QUIET)
    assert {row.id: row.study_id for row in every(sessions, Analysis)} == {old: after.id, new: after.id}


def every_hold(sessions):
    with reading(sessions) as db:
        return db.scalars(select(LegalHold)).all()


def test_an_unmerge_can_be_reissued_again(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    (old,) = measure(sessions, spool)
    patient = every(sessions, Study)[0].patient_id
    send(sessions, spool, tmp_path, "b", **MERGED)
    order(sessions, old)
    (new,) = measure(sessions, spool, LATER + QUIET)
    send(sessions, spool, tmp_path, "c", now=LATER + 2 * QUIET)
    assert {row.difference for row in every(sessions, SetAside)} == {"identity"}
    order(sessions, new, LATER + 3 * QUIET)
    assert every(sessions, Study)[0].patient_id == patient


def test_a_running_analysis_of_the_old_identity_publishes_nothing(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    (made,) = close.close_series(sessions, spool, now=NOW + QUIET, closing=CLOSING)
    with sessions.begin() as db:
        claim = queries.claim_analysis(db, made, owner="x", now=NOW + QUIET)
    send(sessions, spool, tmp_path, "b", **SPLIT)
    order(sessions, made)
    with sessions.begin() as db:
        assert not queries.beat_analysis(db, claim)
    assert [row.state for row in every(sessions, Analysis)] == [AnalysisState.SUPERSEDED]
    assert len(measure(sessions, spool, LATER + QUIET)) == 1


def test_half_a_series_under_another_identity_is_not_reissued(sessions, spool, tmp_path):
    send(sessions, spool, tmp_path, "a")
    (old,) = measure(sessions, spool)
    with pytest.raises(InvalidRequest) as told:
        order(sessions, old)
    assert told.value.reason.code == "no_identity_change"
    take_in(sessions, spool, mr_series(tmp_path / "b", changes=MERGED)[:-1])
    compare(sessions, spool, tmp_path)
    with pytest.raises(InvalidRequest) as told:
        order(sessions, old)
    assert told.value.reason.code == "identity_incomplete"
    assert every(sessions, Series)[0].state == "closed"


def test_no_analysis_is_no_order(sessions):
    assert order(sessions, 77) is None
