"""The verb "replay": an analysis once more from the stored images, compared bit for bit, publishing nothing.

Bit equality is promised on the same provider, precision and kind of device with the same network. Elsewhere
a replay says what is not the same, and counts what differs.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from service import files
from service.core.sameness import MEASURED, SCORED, Comparison, compare_findings, same_yardsticks
from service.core.status import OutputKind
from service.core.variant import Variant
from service.db import ledger, optouts, people, priors, rescoring
from service.db.rescoring import Replayable, Stored, StoredObject
from service.db.session import Session, Sessions, reading
from service.dicom.drawn import Place, Slice, differing_voxels, read_drawn
from service.dicom.spool import Spool
from service.errors import InvalidRequest, ModelMismatch, ProviderUnavailable, ServiceError
from service.inference.card import Card, read_card
from service.inference.device import device_kind
from service.inference.sliding import load_segmenter
from service.pipeline.analyse import Workshop
from service.pipeline.attempt import attempt
from service.pipeline.choose import declined_by_rules
from service.pipeline.job import Job, JobBefore, JobImage, JobInput, Outcome
from service.pipeline.kept import read_kept
from service.pipeline.recipe import WorkshopRecipe
from service.pipeline.references import bundled_models_dir, read_norms, read_policy

#: How a replay is not the same as the run that it repeats, in words.
NOTES = {
    "network_differs": "Another network: {was}, now {now}.",
    "provider_differs": "Another execution provider: {was}, now {now}.",
    "precision_differs": "Another precision: {was}, now {now}.",
    "device_differs": "Another kind of device: {was}, now {now}.",
    "device_not_known": "It was not kept on what device it was measured; now {now}.",
    "software_differs": "Measured by {was}, replayed by {now}.",
    "scores_not_compared": "Other norms or another policy now, so scores and flags are not compared.",
}


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of a replay."""

    analysis_id: int
    version: int
    numbers: Comparison
    #: Voxels of the stored drawing, and how many are not the same; by segment, those that one of both has.
    voxels: int
    differing_voxels: int
    by_segment: Mapping[str, int]
    #: Codes of ``NOTES``, each with its sentence.
    notes: Mapping[str, str]
    provider: str
    precision: str
    device: str

    @property
    def identical(self) -> bool:
        """Bit for bit the same mask and numbers."""
        return self.numbers.same and not self.differing_voxels

    def as_detail(self) -> dict[str, Any]:
        """Codes and counts for events and the audit record."""
        return {
            "identical": self.identical,
            "voxels": self.differing_voxels,
            **{f"voxels_{segment}": count for segment, count in self.by_segment.items()},
            "numbers": self.numbers.differing,
            "largest": self.numbers.largest,
            "others": len(self.numbers.others),
            "provider": self.provider,
            "precision": self.precision,
            "notes": " ".join(self.notes),
        }


def replay(
    sessions: Sessions,
    analysis_id: int,
    recipe: WorkshopRecipe,
    *,
    home: Path,
    spool: Spool,
    network: str | None = None,
    actor: str,
    now: datetime,
) -> Replayed | None:
    """Run an analysis again in a folder of its own and compare; None: no such analysis.

    ``network`` is the name of a network of this installation in the place of the one that measured. Raises
    InvalidRequest where it cannot be replayed, and whatever is wrong with network or norms.
    """
    with reading(sessions) as session:
        found = rescoring.replayable(session, analysis_id)
        if found is None:
            return None
        _refuse(session, found, home)
        job = _job(session, found, spool)
    workshop = _workshop(found.stored.finding, recipe, network)
    _require_same_images(job.images)
    _require_same_segmentations(found.stored, home)
    with tempfile.TemporaryDirectory() as desk:
        outcome = attempt(replace(job, out=Path(desk) / "out"), workshop)
        if outcome.finding is None or outcome.input_digest != found.stored.input_digest:
            raise InvalidRequest(
                "Images of this series came after this version was made, so it is of other images.",
                reason="other_images",
            )
        replayed = _compare(found.stored, outcome, outcome.finding, home, workshop)
    with sessions.begin() as session:
        detail = replayed.as_detail()
        rescoring.note_replay(session, analysis_id, detail=detail, now=now)
        people.record(
            session,
            at=now,
            actor=actor,
            action="analysis_replayed",
            object_type="analysis",
            object_id=analysis_id,
            detail=detail,
        )
    return replayed


def _refuse(session: Session, found: Replayable, home: Path) -> None:
    """Raise InvalidRequest, which says why, where there is nothing to run on."""
    if found.pixels_purged:
        raise InvalidRequest(
            "The images were taken away after the time they are kept.", reason="pixels_purged"
        )
    if optouts.lists_study(session, home, found.study_id):
        raise InvalidRequest("The patient has opted out.", reason="opted_out")


def _job(session: Session, found: Replayable, spool: Spool) -> Job:
    """The same as the worker was given, without anything to supersede."""
    images = ledger.series_paths(session, found.series_ids)
    before = priors.earlier_findings(session, found.stored.id)
    disagrees = priors.disagreements(session, found.stored.id)
    return Job(
        analysis_id=found.stored.id,
        images=tuple(
            JobImage(path=str(spool.path(path)), sop_instance_uid=uid, sha256=digest)
            for path, uid, digest in images
        ),
        inputs=tuple(
            JobInput(role=role, series_uid=series_uid, stack=stack)
            for role, series_uid, stack in found.inputs
        ),
        input_digest=found.stored.input_digest,
        receiving=False,
        at=found.object_time,
        before=tuple(JobBefore(finding=finding, days=days) for finding, days in before),
        disagrees=disagrees,
        declined=declined_by_rules(found.choice),
        out=Path(),
    )


def _require_same_images(images: Sequence[JobImage]) -> None:
    """Raise InvalidRequest where the bytes of an image are not those that were received."""
    for image in images:
        path = Path(image.path)
        if not path.is_file() or files.sha256_of(path) != image.sha256:
            raise InvalidRequest(
                "An image is missing or changed on the disk, so nothing can be proved by it.",
                reason="images_changed",
            )


def _require_same_segmentations(stored: Stored, home: Path) -> None:
    """Raise InvalidRequest where a segmentation is not the one that was published."""
    for each in _segmentations(stored):
        path = files.within(home, each.path)
        if not path.is_file() or files.sha256_of(path) != each.sha256:
            raise InvalidRequest(
                "The stored segmentation is missing or changed on the disk, so nothing can be compared "
                "with it.",
                reason="output_changed",
            )


def _workshop(finding: Mapping[str, Any], recipe: WorkshopRecipe, network: str | None) -> Workshop:
    """The network that measured, on what it ran on; else on what this installation has."""
    model = finding.get("model")
    if network is not None or model is None:
        card = read_card(recipe.models_dir / Path(network or recipe.model).name)
    else:
        card = _card_of(str(model["sha256"]), recipe.models_dir)
    demanded = (recipe.providers, recipe.precision)
    if model is not None:
        demanded = ((str(model["provider"]),), str(model["precision"]))
    try:
        segmenter = load_segmenter(card, providers=demanded[0], precision=demanded[1], threads=recipe.threads)
    except ProviderUnavailable:
        segmenter = load_segmenter(
            card, providers=recipe.providers, precision=recipe.precision, threads=recipe.threads
        )
    return Workshop(
        segmenter=segmenter,
        norms=read_norms(recipe.models_dir, recipe.norms),
        policy=read_policy(recipe.models_dir, recipe.policy),
        institution=recipe.institution,
        variants=(Variant(),),
    )


def _card_of(sha256: str, models_dir: Path) -> Card:
    """The card of the network with this hash; raises InvalidRequest where there is none (any more)."""
    for folder in dict.fromkeys((models_dir, bundled_models_dir())):
        for path in sorted(folder.glob("*/card.toml")):
            try:
                card = read_card(path.parent)
            except ModelMismatch:
                continue
            if card.sha256 == sha256:
                return card
    raise InvalidRequest(
        f"The network with the hash {sha256[:12]} is not in the models folder any more. "
        "Put it back, or name another one to compare with.",
        reason="network_gone",
    )


def _compare(
    stored: Stored, outcome: Outcome, finding: dict[str, Any], home: Path, workshop: Workshop
) -> Replayed:
    """The stored result beside the new one."""
    was, now = _drawn_before(stored, home), _drawn_now(outcome)
    total, by_segment = differing_voxels(was, now)
    comparable = same_yardsticks(stored.finding, finding)
    parts = (*MEASURED, *SCORED) if comparable else MEASURED
    segmenter = workshop.segmenter
    notes = dict(_notes(stored, finding, home))
    if not comparable:
        notes["scores_not_compared"] = NOTES["scores_not_compared"]
    return Replayed(
        analysis_id=stored.id,
        version=stored.version,
        numbers=compare_findings(stored.finding, finding, parts),
        voxels=sum(int((labels > 0).sum()) for labels in was.values()),
        differing_voxels=total,
        by_segment=by_segment,
        notes=notes,
        provider=segmenter.provider,
        precision=segmenter.precision,
        device=device_kind(segmenter.provider),
    )


def _segmentations(stored: Stored) -> list[StoredObject]:
    """The stored segmentations of one variant: several stations have one each."""
    segs = [each for each in stored.objects if each.kind == OutputKind.SEG]
    variant = segs[0].variants[:1] if segs else ()
    return [each for each in segs if set(variant) <= set(each.variants)]


def _drawn_before(stored: Stored, home: Path) -> dict[Place, Slice]:
    return _read_all([files.within(home, each.path) for each in _segmentations(stored)])


def _drawn_now(outcome: Outcome) -> dict[Place, Slice]:
    return _read_all([each.path for each in outcome.written if each.kind is OutputKind.SEG])


def _read_all(paths: Sequence[Path]) -> dict[Place, Slice]:
    """The voxels of several segmentations, which lie on different images."""
    drawn: dict[Place, Slice] = {}
    for path in paths:
        drawn |= read_drawn(path)
    return drawn


def _notes(stored: Stored, finding: Mapping[str, Any], home: Path) -> list[tuple[str, str]]:
    """What is not the same about the two runs, in codes and words."""
    notes = []
    was, now = stored.finding.get("model"), finding.get("model")
    if was and now:
        pairs = [("network_differs", _network(was), _network(now))]
        pairs += [(f"{part}_differs", was[part], now[part]) for part in ("provider", "precision")]
        notes += [(code, NOTES[code].format(was=a, now=b)) for code, a, b in pairs if a != b]
        here, there = device_kind(now["provider"]), _device_of(stored, home)
        if there is None:
            notes.append(("device_not_known", NOTES["device_not_known"].format(now=here)))
        elif there != here:
            notes.append(("device_differs", NOTES["device_differs"].format(was=there, now=here)))
    measured_by = stored.finding.get("measured_by") or stored.finding["software"]
    if measured_by != finding["software"]:
        said = NOTES["software_differs"].format(was=measured_by, now=finding["software"])
        notes.append(("software_differs", said))
    return notes


def _network(model: Mapping[str, Any]) -> str:
    return f"{model['name']} {model['version']} ({model['sha256'][:12]})"


def _device_of(stored: Stored, home: Path) -> str | None:
    """The device that measured, where it was kept."""
    with tempfile.TemporaryDirectory() as desk:
        try:
            return read_kept(files.within(home, stored.result_path), Path(desk)).device
        except ServiceError:
            return None
