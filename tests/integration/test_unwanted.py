"""What a peer's ``unwanted`` setting does with each kind of object, seen from the sender's side."""

import subprocess

import pytest
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    RawDataStorage,
    SegmentationStorage,
)
from sqlalchemy import func, select

from service.db import ledger
from service.db.session import reading
from service.db.tables import Instance
from service.dicom import scu
from tests.make.series import mr_slice, save
from tests.make.servers import dcmtk

SCANNER = {"name": "scanner", "ae_title": "SCANNER", "host": "127.0.0.1"}
#: Siemens' CSA Non-Image Storage, which its scanners send along.
PRIVATE = "1.3.12.2.1107.5.9.1"
#: A number where DICOM may one day have a storage class.
UNHEARD_OF = "1.2.840.10008.5.1.4.1.1.4.99"
QUERY = "1.2.840.10008.5.1.4.1.2.2.1"
LISTED = {
    "ct": CTImageStorage,
    "sr": ComprehensiveSRStorage,
    "gsps": GrayscaleSoftcopyPresentationStateStorage,
    "seg": SegmentationStorage,
    "raw": RawDataStorage,
}


def one(folder, name, sop_class):
    return save(
        mr_slice(SOPClassUID=sop_class, SOPInstanceUID=f"1.2.3.9.{len(name)}.{ord(name[0])}", Modality="OT"),
        folder / f"{name}.dcm",
    )


def counters(door):
    with reading(door.sessions) as db:
        return ledger.counters(db)


def kept(door):
    with reading(door.sessions) as db:
        return db.scalar(select(func.count(Instance.id)))


def address(door):
    return scu.Address(host="127.0.0.1", port=door.port, ae_title="MYOSCREEN", calling_ae="SCANNER")


@pytest.mark.parametrize(
    ("unwanted", "answer", "counter"),
    [
        ("refuse", "Refused: SOPClassNotSupported", "unwanted_refused"),
        ("discard", "Success", "unwanted_discarded"),
    ],
)
def test_dcmtk_is_told_of_each_listed_class_what_the_setting_says(
    open_door, tmp_path, unwanted, answer, counter
):
    door = open_door(peer=[{**SCANNER, "unwanted": unwanted}])
    paths = [one(tmp_path, name, sop_class) for name, sop_class in LISTED.items()]
    caller = [dcmtk("storescu"), "-v", "-nh", "-R", "-aet", "SCANNER", "-aec", "MYOSCREEN"]
    done = subprocess.run(
        [*caller, "127.0.0.1", str(door.port), *map(str, paths)], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert said.count(f"Received Store Response ({answer}") == len(LISTED), said
    assert (kept(door), counters(door)) == (0, {counter: len(LISTED)})


def test_an_mr_image_is_kept_whatever_it_shows_because_rules_judge_whole_series(open_door, tmp_path):
    for unwanted in ("refuse", "discard"):
        door = open_door(peer=[{**SCANNER, "unwanted": unwanted}])
        before = kept(door)
        path = save(
            mr_slice(SeriesDescription="localizer", SOPInstanceUID=f"1.2.3.8.{len(unwanted)}"),
            tmp_path / f"{unwanted}.dcm",
        )
        assert [outcome.status for outcome in scu.store([path], address(door))] == [0]
        assert kept(door) == before + 1
        assert counters(door) == {}
        door.close(finish_seconds=0)


@pytest.mark.parametrize("sop_class", [PRIVATE, UNHEARD_OF])
def test_a_storage_class_of_no_list_is_not_negotiated_where_unwanted_is_refused(
    open_door, tmp_path, sop_class
):
    door = open_door(peer=[SCANNER])
    good, strange = save(mr_slice(), tmp_path / "good.dcm"), one(tmp_path, "strange", sop_class)
    outcomes = scu.store([good, strange], address(door))
    assert [(outcome.status, outcome.code) for outcome in outcomes] == [(0, None), (None, "context_refused")]


@pytest.mark.parametrize("sop_class", [PRIVATE, UNHEARD_OF])
def test_and_is_taken_and_thrown_away_where_it_is_discarded(open_door, tmp_path, sop_class):
    door = open_door(peer=[{**SCANNER, "unwanted": "discard"}])
    outcomes = scu.store([one(tmp_path, "strange", sop_class)], address(door))
    assert [outcome.status for outcome in outcomes] == [0]
    assert (kept(door), counters(door)) == (0, {"unwanted_discarded": 1})


def test_what_is_no_storage_class_is_not_negotiated_in_any_case(open_door, tmp_path):
    door = open_door(peer=[{**SCANNER, "unwanted": "discard"}])
    outcomes = scu.store([save(mr_slice(), tmp_path / "good.dcm"), one(tmp_path, "q", QUERY)], address(door))
    assert [outcome.code for outcome in outcomes] == [None, "context_refused"]
