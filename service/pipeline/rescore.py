"""The verb "score again": new scores, report, capture and document from stored measures.

Without the images and without the network: the measures, the person and the provenance are those of the
finding as it was stored, the segmentation is the stored one, and the pictures are those that were kept.
What comes out is what a rerun with the same network would give.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from service import files
from service.core.change import read_earlier
from service.core.finding import Finding
from service.core.mask import Mask
from service.core.norms import NormTable
from service.core.plain import from_plain
from service.core.risk import Policy
from service.core.scoring import SCORED, Yardsticks, score_measures
from service.core.status import OutputKind
from service.core.variant import LABEL_MAP_UID, Variant
from service.dicom.drawn import mask_of, read_drawn
from service.dicom.identity import Written
from service.errors import InvalidRequest, UnreadableSeries
from service.inference.card import Card
from service.pipeline.analyse import Workshop, finish, report_identity
from service.pipeline.drawings import Drawn
from service.pipeline.job import Job, JobBefore, JobMeasured, JobObject, Outcome
from service.pipeline.keepsake import KEPT_NAME
from service.pipeline.kept import Kept, read_kept
from service.pipeline.publish import write_objects
from service.pipeline.slicefiles import carry
from service.pipeline.stations import counted_stations, facts_behind, stations_again


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What stored measures are scored with now."""

    norms: tuple[NormTable, ...]
    policy: Policy
    #: Of the network that is installed, which may not be the one that measured.
    card: Card
    software: str

    def yardsticks(self, finding: Finding, kept: Kept) -> Yardsticks:
        """The same for one finding: repeatability is that of the network that measured."""
        same = finding.model is not None and finding.model.sha256 == self.card.sha256
        repeatability = self.card.repeatability if same else kept.repeatability
        return Yardsticks(norms=self.norms, policy=self.policy, repeatability=repeatability)


def scored_again(stored: Finding, kept: Kept, scale: Scale, before: Sequence[JobBefore]) -> Finding:
    """The finding with the scores of now; the very same where they come out the same."""
    earlier = [read_earlier(each.finding, days=each.days) for each in before]
    facts = facts_behind(stored, kept.inputs)
    scored = score_measures(stored, facts, scale.yardsticks(stored, kept), before=earlier)
    if all(getattr(scored, part) == getattr(stored, part) for part in SCORED):
        return stored
    measured_by = stored.measured_by or stored.software
    return replace(
        scored,
        software=scale.software,
        measured_by=None if measured_by == scale.software else measured_by,
    )


def read_finding(content: dict[str, Any]) -> Finding:
    """A finding as it was stored; raises InvalidRequest where this release does not understand it."""
    try:
        return from_plain(Finding, content)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(
            "This finding is of a release that this one does not understand. Run it again.",
            reason="finding_not_understood",
        ) from error


def attempt_rescore(job: Job, measured: JobMeasured, workshop: Workshop) -> Outcome:
    """Score the measures of a finished version again, into ``job.out``; raises ServiceError or OSError.

    Where the scores come out the same the result is the same, file for file.
    """
    start = time.perf_counter()
    folder = Path(measured.folder)
    shutil.rmtree(job.out, ignore_errors=True)
    files.make_private_dir(job.out)
    stored = read_finding(measured.finding)
    with tempfile.TemporaryDirectory() as desk:
        kept = read_kept(folder, Path(desk))
        scale = Scale(
            norms=workshop.norms, policy=workshop.policy, card=workshop.card, software=workshop.software
        )
        scored = scored_again(stored, kept, scale, job.before)
        if scored is stored:
            finding, written = measured.finding, _copy(measured, folder, job.out)
        else:
            made, written = _write(scored, kept, measured, workshop, job)
            finding = made.as_dict()
    files.settle(job.out)
    seconds = {"scores": round(time.perf_counter() - start, 4)}
    return Outcome(input_digest=job.input_digest, finding=finding, written=written, seconds=seconds)


def _copy(measured: JobMeasured, folder: Path, out: Path) -> tuple[Written, ...]:
    """Every file of the stored result, as it is."""
    carry(folder, out)
    for path in sorted(folder.iterdir()):
        if path.is_file() and not (out / path.name).exists():
            shutil.copyfile(path, out / path.name)
    return tuple(_checked(each, out / Path(each.path).name) for each in measured.objects)


def _checked(stored: JobObject, path: Path) -> Written:
    """A stored object where it lies; raises InvalidRequest where its bytes are not those that were stored."""
    if not path.is_file() or files.sha256_of(path) != stored.sha256:
        raise InvalidRequest(
            "An object of this result is missing or changed on the disk. Run it again.",
            reason="output_changed",
        )
    return Written(
        kind=OutputKind(stored.kind),
        sop_class_uid=stored.sop_class_uid,
        sop_instance_uid=stored.sop_instance_uid,
        path=path,
        sha256=stored.sha256,
        size=stored.size,
        variants=stored.variants,
    )


def _write(
    scored: Finding, kept: Kept, measured: JobMeasured, workshop: Workshop, job: Job
) -> tuple[Finding, tuple[Written, ...]]:
    """The new report, capture and document of each variant, beside the old segmentation."""
    folder, at = Path(measured.folder), job.at.astimezone()
    older = measured.report_uids
    finding = replace(scored, supersedes=older.get(workshop.variants[0].name, older.get("")), outputs=())
    drawn = _drawn(measured, kept, folder)
    several = len(kept.inputs.stations) > 1
    masks = _masks(finding, kept, drawn)
    written = write_objects(
        kept.inputs,
        finding,
        volume=None,
        mask=None if several else masks[0],
        stations=stations_again(finding, kept.inputs, masks) if several else (),
        identity=report_identity(kept.mask_digest, finding, workshop.norms, at),
        norms=workshop.norms,
        variants=workshop.variants,
        gsps=workshop.gsps,
        older=older,
        drawn=drawn,
        out=job.out,
    )
    shutil.copyfile(folder / KEPT_NAME, job.out / KEPT_NAME)
    carry(folder, job.out)
    return finish(finding, written, job.out), written


def _drawn(measured: JobMeasured, kept: Kept, folder: Path) -> Drawn:
    """What scores do not shape: segmentations, outlines and pictures."""
    objects: dict[tuple[OutputKind, object], Written] = {}
    several = len(kept.inputs.stations) > 1
    for each in measured.objects:
        checked = partial(_checked, each, folder / Path(each.path).name)
        number = (_station_number(each.path),) if several else ()
        if each.kind == OutputKind.SEG:
            packed = each.sop_class_uid == LABEL_MAP_UID
            shape = Variant(encoding="labelmap" if packed else "binary").shape
            objects[OutputKind.SEG, (shape, *number) if number else shape] = checked()
        elif each.kind == OutputKind.GSPS:
            for name in each.variants:
                language = name.split("-", maxsplit=1)[0]
                objects[OutputKind.GSPS, (language, *number) if number else language] = checked()
    overlay = folder / "overlay.png"
    return Drawn(key_slices=kept.key_slices, objects=objects, overlay=overlay if overlay.is_file() else None)


def _station_number(path: str) -> int:
    """The number of an object's station: "seg.dcm" is of the first, "seg-2.dcm" of the second."""
    found = re.match(r"[a-z]+-(\d+)", Path(path).name)
    return 1 if found is None else int(found[1])


def _masks(finding: Finding, kept: Kept, drawn: Drawn) -> dict[int, Mask]:
    """The mask of each station as the stored segmentations have it, by its place in the input set."""
    stored = [each for (kind, _), each in drawn.objects.items() if kind is OutputKind.SEG]
    if not stored:
        raise InvalidRequest(
            "There is no segmentation of this result. Run it again.", reason="output_changed"
        )
    separated = finding.measures is not None and finding.measures.total.imat_fraction is not None
    try:
        slices = {place: found for each in stored for place, found in read_drawn(each.path).items()}
    except UnreadableSeries as error:
        raise InvalidRequest(
            "The segmentation of this result cannot be read. Run it again.", reason="output_changed"
        ) from error
    stations = kept.inputs.stations
    return {
        index: mask_of(slices, stations[index].first, fat_separated=separated)
        for index in counted_stations(finding, kept.inputs)
    }
