"""Segmentations as viewers send them back: by dcmqi (3D Slicer), by highdicom, and like dcmjs (OHIF)."""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from service.core.mask import Label
from service.dicom import codes
from service.dicom.edited_store import ReceivedEdit, read_edit
from service.dicom.storing import Refused
from service.pipeline.edited_intake import record_edit
from service.pipeline.edited_order import look_after
from tests.make.received import encoded
from tests.make.tools import run


def arrive(world: Any, path: Path, peer: str = "viewer") -> Refused | None:
    """Keep and record one as the receiver does for a peer that may send them; None: it is kept."""
    raw, meta = encoded(path)
    syntax = str(meta.TransferSyntaxUID)
    identity, references, ours = read_edit(raw, syntax)
    assert not ours
    kept = world.spool.keep(
        raw,
        sop_class_uid=identity.sop_class_uid,
        sop_instance_uid=identity.sop_instance_uid,
        transfer_syntax_uid=syntax,
    )
    came = ReceivedEdit(identity=identity, peer=peer, kept=kept, references=references)
    return record_edit(world.sessions, came, now=world.now)


def take_up(world: Any) -> int:
    """What each sweep does; how many versions were ordered."""
    return look_after(world.sessions, world.spool, world.home, now=world.now)


Labels = NDArray[np.uint8]
NAMES = codes.segment_labels(fat_separated=True)


def grown(labels: Labels, *, rows: int = 2) -> Labels:
    """The same drawing with lean muscle on both sides moved some rows down where nothing is yet."""
    changed = labels.copy()
    for label in (Label.LEAN_LEFT, Label.LEAN_RIGHT):
        moved = np.roll(labels == label, rows, axis=1)
        changed[moved & (labels == 0)] = label
    return changed


def by_highdicom(
    images: Sequence[Path],
    labels: Labels,
    path: Path,
    *,
    order: Sequence[Label] = (Label.IMAT_RIGHT, Label.LEAN_LEFT, Label.IMAT_LEFT, Label.LEAN_RIGHT),
    kind: str = "BINARY",
    names: dict[Label, str] | None = None,
    coded: bool = True,
    **changes: Any,
) -> Path:
    """One with segments and sources in an order of its own, and random identifiers; ``labels`` upwards."""
    sources = [pydicom.dcmread(image) for image in images]
    sources.sort(key=lambda source: float(source.ImagePositionPatient[2]))
    shuffled = list(range(len(sources)))
    random.Random(5).shuffle(shuffled)
    pixels = np.zeros(labels.shape, np.uint8)
    for number, label in enumerate(order, start=1):
        pixels[labels == label] = number
    seg = hd.seg.Segmentation(
        [sources[index] for index in shuffled],
        pixels[shuffled],
        kind,
        [_segment(number, label, names or NAMES, coded) for number, label in enumerate(order, start=1)],
        series_instance_uid=generate_uid(),
        series_number=77,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Somebody",
        manufacturer_model_name="Drawing board",
        software_versions="1",
        device_serial_number="1",
        content_creator_name="Reader^Rita",
        series_description="Corrected",
        omit_empty_frames=True,
    )
    for keyword, value in changes.items():
        setattr(seg, keyword, value)
    seg.file_meta.MediaStorageSOPInstanceUID = seg.SOPInstanceUID
    seg.save_as(path)
    return path


def _segment(number: int, label: Label, names: dict[Label, str], coded: bool) -> hd.seg.SegmentDescription:
    region = hd.sr.CodedConcept(codes.REGION.value, "SCT", codes.REGION.meaning)
    if coded:
        region.AnatomicRegionModifierSequence = [codes.SIDE_OF[label]]
    return hd.seg.SegmentDescription(
        number,
        names[label],
        codes.TISSUE,
        codes.TYPE_OF[label],
        "MANUAL",
        anatomic_regions=[region],
    )


def by_dcmjs(ours: Path, path: Path, labels: Labels | None = None, **changes: Any) -> Path:
    """Ours as OHIF writes it: new identifiers, frames turned round, no tracking, side in the label alone."""
    seg = pydicom.dcmread(ours)
    frames = seg.pixel_array
    groups = list(seg.PerFrameFunctionalGroupsSequence)
    if labels is not None:
        frames = np.stack([_frame(labels, group, seg, index) for index, group in enumerate(groups)])
    seg.PerFrameFunctionalGroupsSequence = groups[::-1]
    seg.PixelData = _packed(frames[::-1])
    seg.SOPInstanceUID = seg.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    seg.SeriesInstanceUID = generate_uid()
    seg.Manufacturer, seg.SeriesDescription = "Unspecified", "Research Derived series"
    seg.ContentCreatorName = ""
    for segment in seg.SegmentSequence:
        del segment.TrackingID, segment.TrackingUID
        del segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence
        segment.SegmentAlgorithmType = "SEMIAUTOMATIC"
    for keyword, value in changes.items():
        setattr(seg, keyword, value)
    seg.save_as(path)
    return path


def _frame(labels: Labels, group: Dataset, seg: Dataset, index: int) -> NDArray[np.bool_]:
    """What a frame of ours shows of another drawing; slices are in order of position."""
    del index
    heights = sorted({float(each.PlanePositionSequence[0].ImagePositionPatient[2]) for each in _all(seg)})
    at = heights.index(float(group.PlanePositionSequence[0].ImagePositionPatient[2]))
    number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    first = int(np.flatnonzero(labels.any(axis=(1, 2)))[0])
    return labels[first + at] == number


def _all(seg: Dataset) -> list[Dataset]:
    return list(seg.PerFrameFunctionalGroupsSequence)


def _packed(frames: NDArray[Any]) -> bytes:
    """Frames of one bit as DICOM packs them."""
    raw = np.packbits((frames > 0).ravel(), bitorder="little").tobytes()
    return raw + b"\x00" * (len(raw) % 2)


def by_dcmqi(ours: Path, images: Path, folder: Path, *, empty: str | None = None) -> Path:
    """Ours read and written by dcmqi with one slice of left muscle wiped out, as 3D Slicer does."""
    folder.mkdir(parents=True, exist_ok=True)
    out = ("--outputType", "nii", "-p", "s")
    run("segimage2itkimage", "--inputDICOM", ours, "--outputDirectory", folder, *out)
    meta = json.loads((folder / "s-meta.json").read_text())
    meta["ContentCreatorName"] = "Slicer^User"
    meta["SeriesDescription"] = "Segmentation"
    for (segment,) in meta["segmentAttributes"]:
        segment["SegmentAlgorithmType"] = "MANUAL"
        segment.pop("SegmentAlgorithmName", None)
    wanted = [group for group in meta["segmentAttributes"] if group[0]["SegmentLabel"] != empty]
    files = [folder / f"s-{group[0]['labelID']}.nii.gz" for group in wanted]
    meta["segmentAttributes"] = wanted
    (folder / "edited.json").write_text(json.dumps(meta))
    _wipe(files[0])
    run(
        "itkimage2segimage",
        *("--inputImageList", ",".join(str(path) for path in files)),
        *("--inputDICOMDirectory", images, "--outputDICOM", folder / "edited.dcm"),
        *("--inputMetadata", folder / "edited.json"),
    )
    return folder / "edited.dcm"


def _wipe(path: Path) -> None:
    """Take out the slice of a NIfTI-1 file that has most voxels."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    shape = np.frombuffer(bytes(raw[42:48]), "<i2")
    kind = {2: "u1", 4: "<i2", 8: "<i4", 256: "i1", 512: "<u2"}[
        int(np.frombuffer(bytes(raw[70:72]), "<i2")[0])
    ]
    start = int(np.frombuffer(bytes(raw[108:112]), "<f4")[0])
    voxels = np.frombuffer(bytes(raw[start:]), kind).reshape(shape, order="F").copy()
    voxels[..., int((voxels > 0).sum(axis=(0, 1)).argmax())] = 0
    raw[start:] = voxels.tobytes(order="F")
    path.write_bytes(gzip.compress(bytes(raw)))
