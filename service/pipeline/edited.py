"""One version from a mask that a person edited: checked, measured by the same core, and compared.

The network does not run. Grid, series and person are those of the stored result; the pixels are read again,
for the pictures and, of a Dixon pair, for the signal.
"""

import hashlib
import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from service import files
from service.core.blocks import is_of_block
from service.core.change import read_earlier
from service.core.edited import check_edited, of_edited, require_whole
from service.core.edited_agreement import segment_agreement, shares_a_slice
from service.core.finding import AlgorithmType, AutomaticTotals, Edited, Finding
from service.core.mask import Mask
from service.core.measure import contents_of, measure_contents
from service.core.quality import check_identity
from service.core.scoring import score_measures
from service.core.status import OutputKind
from service.dicom.drawn import mask_of, read_drawn
from service.dicom.edited import EditedSeg, read_edited, tracked_labels
from service.dicom.stack import Stack
from service.errors import EditRefused, UnreadableSeries
from service.pipeline.analyse import (
    Result,
    Workshop,
    blank_finding,
    finish,
    remove_former_result,
    write_result,
)
from service.pipeline.inputs import Inputs, read_images
from service.pipeline.job import JobEdit, JobMeasured, JobObject, Past
from service.pipeline.rescore import read_finding
from service.pipeline.slicing import keep_slices


def measure_edited(
    inputs: Inputs, edit: JobEdit, workshop: Workshop, *, at: datetime, out: Path, past: Past
) -> Result:
    """Measure an edited mask and write its finding and objects into ``out``.

    Raises EditRefused, with the reason why it is not taken, and UnreadableSeries where the images of before
    cannot be read any more.
    """
    remove_former_result(out)
    start = time.perf_counter()
    if len(inputs.stations) > 1:
        raise EditRefused("A scan in several stations has several segmentations.", reason="edit_of_stations")
    stack, basis = inputs.first, read_finding(edit.basis.finding)
    assert basis.definition is not None, "what was drawn has a definition"
    assert basis.measures is not None, "and measures"
    separated = basis.measures.total.imat_fraction is not None
    automatic = _stored_mask(edit.basis, stack, separated=separated)
    seg = read_edited(_received(edit), stack, tracked_labels(_segmentation(edit.basis)))
    require_whole(seg.labels, seg.described, automatic.labels, fat_separated=separated)
    if np.array_equal(seg.labels, _stored_mask(edit.current, stack, separated=separated).labels):
        raise EditRefused("It is what stands already, voxel for voxel.", reason="edit_unchanged")
    checks = check_edited(seg.labels, stack.grid)
    images = read_images(inputs)
    mask = Mask(labels=seg.labels, grid=stack.grid, fat_separated=separated)
    finding = _described(inputs, basis, workshop, past)
    block = is_of_block(basis.definition.id)
    height = None if finding.person is None else finding.person.height_m
    finding = replace(
        finding,
        definition=of_edited(basis.definition),
        quality=(*finding.quality, *checks),
        measures=measure_contents(contents_of(mask, images.dixon), height_m=height, volumes=not block),
        edited=_edited(edit, seg, basis, automatic, mask, volumes=not block),
    )
    older = past.superseded(finding.as_dict())
    finding = replace(finding, supersedes=older.get(workshop.variants[0].name, older.get("")))
    before = [read_earlier(each.finding, days=each.days) for each in past.before]
    finding = score_measures(finding, stack.facts, workshop.yardsticks, before=before)
    measured = time.perf_counter()
    finding, written = write_result(
        inputs,
        finding,
        volume=images.volume,
        mask=mask,
        stations=(),
        workshop=workshop,
        mask_digest=_digest(
            stack, edit, seg, finding, (workshop.institution, workshop.software, at.isoformat())
        ),
        at=at,
        older=older,
        out=out,
    )
    if finding.status != "measured":
        raise EditRefused("No segmentation of these images can be placed.", reason="edit_other_images")
    if workshop.slices_mb:
        keep_slices(
            inputs, volume=images.volume, mask=mask, stations=(), limit_mb=workshop.slices_mb, out=out
        )
    seconds = {"measure": round(measured - start, 4), "objects": round(time.perf_counter() - measured, 4)}
    return Result(finding=finish(finding, written, out), written=written, seconds=seconds)


def _described(inputs: Inputs, basis: Finding, workshop: Workshop, past: Past) -> Finding:
    """The finding before anything was measured: of the images and the network of the stored one."""
    blank = blank_finding(inputs, workshop)
    quality = (*blank.quality, *check_identity(past.disagrees))
    return replace(blank, series=basis.series, model=basis.model, quality=quality)


def _edited(
    edit: JobEdit, seg: EditedSeg, basis: Finding, automatic: Mask, mask: Mask, *, volumes: bool
) -> Edited:
    """Who edited, and how much of the drawing of the network is left."""
    assert basis.measures is not None
    total = basis.measures.total
    return Edited(
        algorithm_type=_algorithm_type(seg, automatic),
        by=seg.by,
        at=seg.at,
        made_with=seg.made_with,
        sop_instance_uid=edit.sop_instance_uid,
        sha256=edit.sha256,
        peer=edit.peer,
        corrects=_segmentation_object(edit.basis).sop_instance_uid,
        automatic=AutomaticTotals(
            compartment_ml=total.compartment_ml,
            lmm_ml=total.lmm_ml,
            imat_ml=total.imat_ml,
            imat_fraction=total.imat_fraction,
        ),
        agreement=segment_agreement(automatic, mask, volumes=volumes),
    )


def _algorithm_type(seg: EditedSeg, automatic: Mask) -> AlgorithmType:
    """Manual where it says so and no segment of a slice is as the network drew it, which no hand does."""
    return (
        "MANUAL" if seg.says_manual and not shares_a_slice(seg.labels, automatic.labels) else "SEMIAUTOMATIC"
    )


def _received(edit: JobEdit) -> Path:
    """The file that came; EditRefused where its bytes are not those that came, which the finding names."""
    path = Path(edit.path)
    if not path.is_file() or files.sha256_of(path) != edit.sha256:
        raise EditRefused("Its file is missing or changed on the disk.", reason="edit_unreadable")
    return path


def _segmentation_object(measured: JobMeasured) -> JobObject:
    """The first segmentation of a stored result."""
    found = next((each for each in measured.objects if each.kind == OutputKind.SEG), None)
    if found is None:
        raise EditRefused("There is no segmentation of the stored result.", reason="edit_no_drawing")
    return found


def _segmentation(measured: JobMeasured) -> Path:
    """Its file; EditRefused where that is not the one that was published."""
    stored = _segmentation_object(measured)
    path = Path(measured.folder) / Path(stored.path).name
    if not path.is_file() or files.sha256_of(path) != stored.sha256:
        raise EditRefused(
            "The stored segmentation is missing or changed on the disk.", reason="output_changed"
        )
    return path


def _stored_mask(measured: JobMeasured, stack: Stack, *, separated: bool) -> Mask:
    """The mask of a stored result."""
    try:
        return mask_of(read_drawn(_segmentation(measured)), stack, fat_separated=separated)
    except UnreadableSeries as error:
        raise EditRefused("The stored segmentation cannot be read.", reason="output_changed") from error


def _digest(stack: Stack, edit: JobEdit, seg: EditedSeg, finding: Finding, made: tuple[str, ...]) -> str:
    """Digest of everything that shapes the mask and the objects that show it."""
    assert finding.definition is not None
    assert finding.model is not None
    parts = [
        "edited",
        *sorted(stack.facts.sop_instance_uids),
        repr(asdict(stack.study)),
        edit.sop_instance_uid,
        edit.sha256,
        hashlib.sha256(seg.labels.tobytes()).hexdigest(),
        finding.model.sha256,
        f"{finding.definition.id}@{finding.definition.version}",
        *made,
    ]
    return hashlib.sha256("\x1f".join(parts).encode("utf-8")).hexdigest()
