"""What a replay starts from, and whether it can be made; light, because the worker only describes the job."""

from collections.abc import Sequence
from pathlib import Path

from service import files
from service.core.status import OutputKind
from service.db import ledger, optouts, priors
from service.db.rescoring import Replayable, Stored, StoredObject
from service.db.session import Session
from service.dicom.spool import Spool
from service.errors import InvalidRequest
from service.pipeline.choose import declined_by_rules
from service.pipeline.job import Job, JobBefore, JobImage, JobInput, JobReplay


def refuse(session: Session, found: Replayable, home: Path) -> None:
    """Raise InvalidRequest, which says why, where there is nothing to run on."""
    if found.stored.finding.get("edited") is not None:
        raise InvalidRequest("A person drew it, so no network draws it again.", reason="drawn_by_hand")
    if found.pixels_purged:
        raise InvalidRequest(
            "The images were taken away after the time they are kept.", reason="pixels_purged"
        )
    if optouts.lists_study(session, home, found.study_id):
        raise InvalidRequest("The patient has opted out.", reason="opted_out")


def job_of(session: Session, found: Replayable, spool: Spool) -> Job:
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


def require_unharmed(job: Job, stored: Stored, home: Path) -> None:
    """Raise InvalidRequest where an image or a segmentation is not what it was."""
    for image in job.images:
        path = Path(image.path)
        if not path.is_file() or files.sha256_of(path) != image.sha256:
            raise InvalidRequest(
                "An image is missing or changed on the disk, so nothing can be proved by it.",
                reason="images_changed",
            )
    for each in segmentations(stored.objects):
        path = files.within(home, each.path)
        if not path.is_file() or files.sha256_of(path) != each.sha256:
            raise InvalidRequest(
                "The stored segmentation is missing or changed on the disk, so nothing can be compared "
                "with it.",
                reason="output_changed",
            )


def compared_with(stored: Stored, home: Path) -> JobReplay:
    """A finished version as a job has it."""
    return JobReplay(
        analysis_id=stored.id,
        version=stored.version,
        input_digest=stored.input_digest,
        finding=stored.finding,
        folder=str(files.within(home, stored.result_path)),
        segmentations=tuple(Path(each.path).name for each in segmentations(stored.objects)),
    )


def segmentations(objects: Sequence[StoredObject]) -> list[StoredObject]:
    """The stored segmentations of one variant: several stations have one each."""
    segs = [each for each in objects if each.kind == OutputKind.SEG]
    variant = segs[0].variants[:1] if segs else ()
    return [each for each in segs if set(variant) <= set(each.variants)]
