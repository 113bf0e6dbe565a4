"""Files that are made to hang a reader, to fill its memory or to write where they should not."""

import io
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from service.dicom import bounded, gathering, series
from service.dicom.bounded import (
    MOST_NESTED,
    Allowance,
    BoundedFile,
    Inflating,
    parse_file,
    parse_message,
)
from service.dicom.headers import read_header
from service.dicom.instance import read_identity
from service.dicom.series import read_volume, scan
from service.dicom.spool import file_head
from service.errors import UnreadableSeries
from tests.make.series import mr_series, mr_slice, tilted

UNDEFINED = 0xFFFFFFFF
PIXELS = b"\xe0\x7f\x10\x00"


def sequence(tag: int, content: bytes, *, undefined: bool) -> bytes:
    """A sequence in Explicit VR Little Endian."""
    length = UNDEFINED if undefined else len(content)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if undefined else b""
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, length) + content + end


def item(content: bytes = b"") -> bytes:
    """One item of a sequence."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def encoded(**changes: object) -> bytes:
    """The dataset of one slice as C-STORE carries it."""
    buffer = io.BytesIO()
    dataset = mr_slice(**changes)
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def written(path: Path, raw: bytes, syntax: str = ExplicitVRLittleEndian) -> Path:
    """A file of any dataset."""
    head = file_head(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid="1.2.3", transfer_syntax_uid=syntax
    )
    path.write_bytes(head + raw)
    return path


def deflated(raw: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return packer.compress(raw) + packer.flush()


def only_reason(path: Path) -> str:
    found = scan([path])
    assert found.stacks == ()
    (unreadable,) = found.unreadable
    return unreadable.reason.code


#: More than a header may have, and more than the sixteenth of it that is allowed where ``less`` is.
ITEMS, FEWER = item() * 240_000, item() * 15_000


@pytest.fixture
def less(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixteenth of what a header may take, so that what is refused is quickly read."""
    monkeypatch.setattr(bounded.Allowance.__init__, "__defaults__", (bounded.LARGEST_HEADER_BYTES // 16,))


def hostile_header(folder: Path, items: bytes, *, undefined: bool) -> Path:
    raw = encoded()
    many = sequence(0x52009230, items, undefined=undefined)
    return written(folder / "a.dcm", raw.replace(PIXELS, many + PIXELS, 1))


def test_a_header_of_too_many_items_is_refused(tmp_path: Path) -> None:
    assert only_reason(hostile_header(tmp_path, ITEMS, undefined=True)) == "too_large"


@pytest.mark.usefixtures("less")
def test_a_header_of_too_many_items_of_told_length_is_refused(tmp_path: Path) -> None:
    assert only_reason(hostile_header(tmp_path, FEWER, undefined=False)) == "too_large"


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """An element with a short length field."""
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def test_a_thousand_frames_with_a_hundred_elements_of_the_vendor_each_are_read(tmp_path: Path) -> None:
    """As Philips writes Enhanced MR: a private sequence of undefined length in every frame."""
    private = b"".join(element(0x20051400 + number, b"DS", b"1.234567") for number in range(100))

    def frame(number: int) -> bytes:
        place = element(0x00200032, b"DS", f"0\\0\\{4 * number}".ljust(10).encode())
        own = sequence(0x2005140F, item(private), undefined=True)
        return item(sequence(0x00209113, item(place), undefined=True) + own)

    shared = item(
        sequence(0x00209116, item(element(0x00200037, b"DS", b"1\\0\\0\\0\\1\\0 ")), undefined=True)
        + sequence(0x00289110, item(element(0x00280030, b"DS", b"1\\1 ")), undefined=True)
    )
    groups = sequence(0x52009229, shared, undefined=True)
    groups += sequence(0x52009230, b"".join(map(frame, range(1200))), undefined=True)
    raw = encoded(
        SOPClassUID=EnhancedMRImageStorage,
        NumberOfFrames=1200,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PixelSpacing=None,
    )
    (stack,) = scan([written(tmp_path / "a.dcm", raw.replace(PIXELS, groups + PIXELS, 1))]).stacks
    assert stack.facts.slices == 1200


@pytest.mark.parametrize(
    "content",
    [ITEMS, item(struct.pack("<HH2sH", 0x0008, 0x0060, b"CS", 2) + b"MR") * 60_000, item(ITEMS)],
    ids=["empty items", "items of one element", "items within an item"],
)
def test_a_header_takes_no_more_memory_than_its_allowance(content: bytes) -> None:
    raw = encoded().replace(PIXELS, sequence(0x00081140, content, undefined=True) + PIXELS, 1)
    file, allowance = io.BytesIO(raw), Allowance(8 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises((OSError, UnreadableSeries)):
            parse_file(file, len(raw), None, allowance, force=True)
        assert allowance.exceeded
        assert tracemalloc.get_traced_memory()[1] < 1.5 * 8 * 2**20
    finally:
        tracemalloc.stop()


def test_a_length_beyond_the_end_of_the_file_asks_for_no_memory() -> None:
    bounded = BoundedFile(io.BytesIO(b"short"), Allowance(), size=5)
    tracemalloc.start()
    try:
        assert bounded.read(0xFFFFFFFE) == b"short"
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_deflated_header_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    bomb = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 256 * 2**20) + bytes(256 * 2**20)
    raw = encoded()
    at = raw.index(struct.pack("<HH", 0x0010, 0x0010))
    path = written(tmp_path / "a.dcm", deflated(raw[:at] + bomb + raw[at:]), DeflatedExplicitVRLittleEndian)
    assert path.stat().st_size < 2**19
    assert only_reason(path) == "too_large"


def test_pixels_that_inflate_without_end_cost_a_scan_nothing_and_are_refused_when_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = encoded()
    at = raw.index(PIXELS)
    bomb = raw[:at] + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 2**27) + bytes(2**27)
    path = written(tmp_path / "a.dcm", deflated(bomb), DeflatedExplicitVRLittleEndian)
    tracemalloc.start()
    try:
        (stack,) = scan([path]).stacks
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    monkeypatch.setattr("service.dicom.bounded.LARGEST_INFLATED_BYTES", 2**24)
    with pytest.raises(UnreadableSeries) as caught:
        read_volume(stack)
    assert caught.value.reason.code == "too_large"


def test_a_deflated_stream_reads_like_a_file() -> None:
    content = bytes(range(256)) * 4000
    stream = Inflating(io.BytesIO(deflated(content)), most=2**21)
    assert (stream.read(10), stream.tell()) == (content[:10], 10)
    stream.seek(700_000)
    assert stream.read(5) == content[700_000:700_005]
    stream.seek(-5, 1)
    assert stream.read() == content[700_000:]
    assert stream.read(1) == b""


def test_a_cut_deflated_stream_ends_where_it_was_cut(tmp_path: Path) -> None:
    packed = deflated(encoded())
    path = written(tmp_path / "a.dcm", packed[: len(packed) // 2], DeflatedExplicitVRLittleEndian)
    assert only_reason(path) in ("truncated", "no_pixels", "no_geometry", "not_an_image", "no_identity")


@pytest.mark.parametrize("undefined", [True, False])
def test_sequences_nested_thousands_deep_are_refused(tmp_path: Path, undefined: bool) -> None:
    content = b""
    for _ in range(3000):
        content = sequence(0x00081140, item(content), undefined=undefined)
    raw = encoded().replace(PIXELS, content + PIXELS, 1)
    path = written(tmp_path / "a.dcm", raw)
    found = scan([path])
    reasons = [each.reason.code for each in found.unreadable]
    # A sequence of known length that nobody asks for is passed over.
    assert reasons == (["bad_header"] if undefined else [])
    assert len(found.stacks) == (0 if undefined else 1)


@pytest.mark.parametrize("deep", [MOST_NESTED, MOST_NESTED + 2])
def test_sequences_of_known_length_are_followed_to_a_stated_depth(tmp_path: Path, deep: int) -> None:
    content = b""
    for _ in range(deep):
        content = sequence(0x00081140, item(content), undefined=False)
    path = written(tmp_path / "a.dcm", encoded().replace(PIXELS, content + PIXELS, 1))
    if deep <= MOST_NESTED:
        assert read_header(path) is not None
        return
    with pytest.raises(UnreadableSeries) as caught:
        read_header(path)
    assert caught.value.reason.code == "bad_header"


@pytest.mark.parametrize("allowed", range(900, 930))
def test_how_deep_python_may_go_does_not_change_the_reason(tmp_path: Path, allowed: int) -> None:
    content = b""
    for _ in range(3000):
        content = sequence(0x00081140, item(content), undefined=True)
    path = written(tmp_path / "a.dcm", encoded().replace(PIXELS, content + PIXELS, 1))
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(allowed)
    try:
        assert only_reason(path) == "bad_header"
    finally:
        sys.setrecursionlimit(usual)


@pytest.mark.usefixtures("less")
def test_the_receiver_does_not_grow_by_a_header_either() -> None:
    raw = sequence(0x00080006, FEWER, undefined=True) + encoded()
    for syntax, sent in ((ExplicitVRLittleEndian, raw), (DeflatedExplicitVRLittleEndian, deflated(raw))):
        with pytest.raises(UnreadableSeries) as caught:
            read_identity(sent, syntax)
        assert caught.value.reason.code == "too_large"


@pytest.mark.usefixtures("less")
def test_a_message_of_too_many_items_is_not_parsed() -> None:
    raw = sequence(0x00081198, FEWER, undefined=False)
    with pytest.raises((OSError, UnreadableSeries)):
        parse_message(raw, UID(ExplicitVRLittleEndian))


@pytest.mark.parametrize("length", [65_000, 200_000])
def test_endless_texts_are_cut_and_harm_nothing(tmp_path: Path, length: int) -> None:
    def endless(dataset: Dataset, _index: int) -> None:
        for keyword, word in (("SeriesDescription", "vibe_"), ("StudyDescription", "thorac")):
            element = dataset[keyword]
            element._value = word * (length // len(word))
        dataset["ImageType"]._value = ["ORIGINAL", "PRIMARY", *["M"] * (length // 2)]

    # Only a length field of four bytes, as in Implicit VR, can say so much.
    (stack,) = scan(mr_series(tmp_path, each=endless, syntax=ImplicitVRLittleEndian)).stacks
    assert stack.facts.contrast == "t2_tse"
    assert len(stack.facts.image_type) <= 64
    assert max(len(text) for text in (*stack.facts.image_type, stack.facts.region_evidence)) < 1100


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2/../3", "1." * 40 + "1", "1.2.3\n1", "FOR"])
def test_a_frame_of_reference_that_is_no_uid_is_none(tmp_path: Path, uid: str) -> None:
    def wrong(dataset: Dataset, _index: int) -> None:
        dataset["FrameOfReferenceUID"]._value = uid

    (stack,) = scan(mr_series(tmp_path, each=wrong)).stacks
    assert stack.facts.frame_of_reference_uid is None


def test_a_series_of_too_many_stacks_is_refused_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "MOST_STACKS", 3)
    paths = [
        path
        for number in range(4)
        for path in mr_series(
            tmp_path, positions=(0.0,), orientation=tilted(5.0 * number), first_number=number + 1
        )
    ]
    assert len(scan(paths[:3]).stacks) == 3
    found = scan(paths)
    assert found.stacks == ()
    assert [each.reason.code for each in found.unreadable] == ["too_many_stacks"] * 4


def test_a_series_whose_headers_fill_the_memory_is_refused_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, other = mr_series(tmp_path, series=1), mr_series(tmp_path, series=2, positions=(0.0, 4.0))
    monkeypatch.setattr(gathering, "LARGEST_SERIES_BYTES", 3 * 45_000)
    found = scan(large + other)
    assert [stack.facts.slices for stack in found.stacks] == [2]
    assert [(each.path, each.reason.code) for each in sorted(found.unreadable, key=lambda u: u.path)] == [
        (path, "too_large") for path in large
    ]


def test_an_identifier_of_no_value_representation_is_none() -> None:
    raw = encoded()
    at = raw.index(b"\x08\x00\x18\x00UI")
    length = struct.unpack_from("<H", raw, at + 6)[0]
    # Of an unknown representation, and without the bytes that its length announces.
    element = struct.pack("<HH2sH", 0x0008, 0x0018, b"U\x01", 0)
    hostile = raw[:at] + element + raw[at + 8 + length :]
    with pytest.raises(UnreadableSeries):
        read_identity(hostile, ExplicitVRLittleEndian)
