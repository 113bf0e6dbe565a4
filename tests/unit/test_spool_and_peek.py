"""Room with two marks, and the quick look at an identity that must say what the library says."""

import random

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from service.dicom.instance import peek_identity, read_identity
from service.dicom.spool import Room, Spool
from service.errors import SpoolFull, UnreadableSeries
from tests.make.received import encoded
from tests.make.series import mr_series, mr_slice, save


def test_room_is_refused_below_the_low_mark_and_given_again_from_the_upper_one(tmp_path):
    free = {"mb": 100}
    room = Room(tmp_path, low_mb=10, resume_mb=20, free=lambda: free["mb"] * 1_000_000)
    seen = []
    for free["mb"] in (100, 10, 9, 10, 19, 20, 10, 9):
        seen.append(room.look())
    assert seen == [True, True, False, False, False, True, True, False]
    with pytest.raises(SpoolFull):
        room.require()


def test_an_upper_mark_below_the_low_one_counts_as_the_low_one(tmp_path):
    free = {"mb": 9}
    room = Room(tmp_path, low_mb=10, resume_mb=0, free=lambda: free["mb"] * 1_000_000)
    assert not room.look()
    free["mb"] = 10
    assert room.look()


def test_room_that_ends_while_a_large_image_comes_stops_it(tmp_path):
    spool = Spool(tmp_path)
    free = iter([100, 9])
    spool.room = Room(tmp_path, low_mb=10, resume_mb=20, free=lambda: next(free) * 1_000_000)
    incoming = spool.begin(sop_class_uid="1.2", sop_instance_uid="1.2.3", transfer_syntax_uid="1.2.4")
    with pytest.raises(SpoolFull):
        incoming.write(memoryview(bytes(17 * 2**20)))
    incoming.abandon()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_cannot_be_an_identifier_names_no_file(tmp_path):
    with pytest.raises(UnreadableSeries):
        Spool(tmp_path).begin(sop_class_uid="1.2", sop_instance_uid="1" * 65, transfer_syntax_uid="1.2.4")


CHANGES = {
    "usual": {},
    "umlauts": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Jörg"},
    "latin": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"},
    "absent": {"SeriesDescription": None, "PatientSex": None, "AccessionNumber": None},
    "padded": {"PatientID": "  17 ", "Modality": "mr"},
    "several": {"StudyDescription": "a\\b"},
    "ours": {"Manufacturer": "myoscreen", "SeriesDescription": "MYOSCREEN summary"},
}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
def test_the_quick_look_says_what_the_library_says(tmp_path, changes, syntax):
    for path in mr_series(tmp_path, positions=[0.0, 4.0], changes=changes, syntax=syntax):
        raw, _ = encoded(path)
        assert peek_identity(raw, syntax) == read_identity(raw, syntax) is not None


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_it_walks_over_sequences_of_either_length(tmp_path, syntax, undefined):
    dataset, reference, code = mr_slice(), mr_slice(), mr_slice()
    reference.PurposeOfReferenceCodeSequence = [code]
    dataset.ReferencedImageSequence = [reference, reference]
    for holder, name in ((dataset, "ReferencedImageSequence"), (reference, "PurposeOfReferenceCodeSequence")):
        holder[name].is_undefined_length = undefined
        for part in holder[name].value:
            part.is_undefined_length_sequence_item = undefined
    raw, _ = encoded(save(dataset, tmp_path / "x.dcm", syntax=syntax))
    assert peek_identity(raw, syntax) == read_identity(raw, syntax) is not None


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_it_leaves_unusual_encodings_to_the_library(tmp_path, syntax):
    (path,) = mr_series(tmp_path, positions=[0.0], syntax=syntax)
    assert peek_identity(encoded(path)[0], syntax) is None


def test_a_beginning_that_ends_too_early_is_not_guessed_at(tmp_path):
    (path,) = mr_series(tmp_path, positions=[0.0])
    raw, _ = encoded(path)
    whole = read_identity(raw, ExplicitVRLittleEndian)
    seen = {peek_identity(raw[:size], ExplicitVRLittleEndian) for size in range(len(raw))}
    assert seen == {None, whole}


def test_whatever_it_accepts_of_wrong_bytes_the_library_accepts_too(tmp_path):
    (path,) = mr_series(tmp_path, positions=[0.0])
    raw, chance = encoded(path)[0][:700], random.Random(5)
    agreed = 0
    for _ in range(2000):
        wrong = bytearray(raw)
        for _ in range(chance.randint(1, 3)):
            wrong[chance.randrange(len(wrong))] = chance.randrange(256)
        found = peek_identity(wrong, ExplicitVRLittleEndian)
        if found is not None:
            agreed += found == read_identity(bytes(wrong), ExplicitVRLittleEndian)
            assert found == read_identity(bytes(wrong), ExplicitVRLittleEndian)
    assert agreed > 100
