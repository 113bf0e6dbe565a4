"""Who may send edited segmentations, by C-STORE and by STOW-RS, and what every other one is answered."""

import pydicom
import pytest
from sqlalchemy import select

from service.db import ledger
from service.db.session import reading
from service.db.tables import Edit, Instance
from service.dicom import scu
from service.dicom.seg import write_seg
from service.dicom.spool import Spool
from service.settings import Peer
from tests.make import edited
from tests.make.received import take_in
from tests.make.results import IDENTITY, finding
from tests.make.stow import CONTENT_TYPE, body_of, reasons, sender_key, stored

VIEWER = {"name": "viewer", "ae_title": "VIEWER", "host": "127.0.0.1", "edits": True}
SCANNER = {"name": "scanner", "ae_title": "SCANNER", "host": "127.0.0.1"}


@pytest.fixture(scope="module")
def upwards(made):
    return made.mask.labels if made.stack.grid.normal[2] > 0 else made.mask.labels[::-1]


@pytest.fixture(scope="module")
def corrected(made, upwards, tmp_path_factory):
    return edited.by_highdicom(made.files, upwards, tmp_path_factory.mktemp("back") / "seg.dcm")


def send(door, *paths, calling="VIEWER"):
    where = scu.Address(host="127.0.0.1", port=door.port, ae_title="MYOSCREEN", calling_ae=calling)
    return [each.status for each in scu.store(list(paths), where)]


def counters(world):
    with reading(world.sessions) as db:
        return ledger.counters(db)


def rows(world, table):
    with reading(world.sessions) as db:
        return db.scalars(select(table).order_by(table.id)).all()


def files_of(spool):
    return sorted(path.name for path in spool.rglob("*.dcm"))


def test_a_viewer_that_may_sends_one_and_only_our_images_count(open_door, made, upwards, corrected, tmp_path):
    door = open_door(peer=[VIEWER, SCANNER])
    spool = tmp_path / "home" / "spool"
    assert send(door, corrected) == [0x0122]
    assert (counters(door), files_of(spool)) == ({"edits_of_unknown_images": 1}, [])
    take_in(door.sessions, Spool(spool), made.files)
    before = files_of(spool)
    assert send(door, corrected, corrected) == [0x0000, 0x0000]
    (row,) = rows(door, Edit)
    assert (row.peer, row.outcome, len(files_of(spool))) == ("viewer", None, len(before) + 1)
    assert (spool / row.path).is_file()
    other = edited.by_highdicom(made.files, upwards, tmp_path / "other.dcm", PatientID="ELSE")
    lied = edited.by_highdicom(
        made.files, edited.grown(upwards), tmp_path / "lied.dcm", SOPInstanceUID=row.sop_instance_uid
    )
    assert send(door, other, lied) == [0xA900, 0xA900]
    assert len(files_of(spool)) == len(before) + 1
    told = counters(door)
    assert told["edits_received"] == told["edits_again"] == told["edits_of_another_patient"] == 1
    assert (told["edits_in_conflict"], len(rows(door, Instance))) == (1, len(made.files))


def test_from_others_a_segmentation_is_unwanted_as_before(open_door, made, corrected, tmp_path):
    door = open_door(peer=[VIEWER, SCANNER])
    take_in(door.sessions, Spool(tmp_path / "home" / "spool"), made.files)
    assert send(door, corrected, calling="SCANNER") == [0x0122]
    assert (counters(door), rows(door, Edit)) == ({"unwanted_refused": 1}, [])


def test_our_own_segmentation_coming_back_is_no_edit(open_door, made, tmp_path):
    door = open_door(peer=[VIEWER])
    take_in(door.sessions, Spool(tmp_path / "home" / "spool"), made.files)
    drawn = finding(made.mask)
    how = {"model": drawn.model, "definition": drawn.definition, "identity": IDENTITY}
    ours = write_seg(made.stack, made.mask, **how, path=tmp_path / "ours.dcm").path
    assert send(door, ours) == [0x0000]
    assert (counters(door), rows(door, Edit)) == ({"own_results_dropped": 1}, [])


def test_a_segmentation_without_identity_or_under_another_name_is_refused(
    open_door, made, corrected, tmp_path
):
    door = open_door(peer=[VIEWER])
    nameless = pydicom.dcmread(corrected)
    nameless.StudyInstanceUID = ""
    nameless.save_as(tmp_path / "nameless.dcm")
    lie = pydicom.dcmread(corrected)
    lie.file_meta.MediaStorageSOPInstanceUID = "2.25.5"
    lie.save_as(tmp_path / "lie.dcm")
    del made
    assert send(door, tmp_path / "nameless.dcm", tmp_path / "lie.dcm")[0] == 0xC000
    assert (counters(door)["instances_unreadable"] >= 1, rows(door, Edit)) == (True, [])


def test_by_stow_rs_a_key_stands_for_the_peer_of_its_name(world, made, corrected, monkeypatch):
    peers = (*world.settings.peer, Peer.model_validate({**VIEWER, "name": "router"}))
    settings = world.settings.model_copy(update={"spool_min_free_mb": 0, "peer": peers})
    monkeypatch.setattr(world, "settings", settings)
    take_in(world.sessions, Spool(settings.spool_dir), made.files)
    client = world.client()
    client.headers["Content-Type"] = CONTENT_TYPE
    uid = str(pydicom.dcmread(corrected).SOPInstanceUID)
    for name, expected in (("stranger", {uid: 0x0122}), ("router", {})):
        client.headers["Authorization"] = f"Bearer {sender_key(world, name=name)}"
        answer = client.post("/dicomweb/studies", content=body_of([corrected]))
        assert reasons(answer.json()) == expected
    assert stored(answer.json()) == [uid]
    (row,) = rows(world, Edit)
    assert (row.peer, row.outcome) == ("router", None)
