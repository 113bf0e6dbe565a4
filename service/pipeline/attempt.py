"""The part of an analysis that touches the images: from paths to a finding and its files.

It needs no database and no broker, and so runs in a process of its own (``service.worker.runner``) that
may hang, crash or grow without taking the worker along.
"""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from service import files
from service.core.dixon import find_input_sets, set_again
from service.core.rules import OPTED_OUT
from service.core.series import Role
from service.dicom.series import Scan, UnreadableFile, scan
from service.errors import EditRefused, Reason, UnreadableSeries
from service.pipeline.analyse import (
    Result,
    Workshop,
    analyse_inputs,
    finding_without_images,
    write_finding,
)
from service.pipeline.comparing import compare
from service.pipeline.decline import decline, leave_alone
from service.pipeline.edited import measure_edited
from service.pipeline.inputs import Inputs, input_digest, unreadable_digest
from service.pipeline.job import Job, JobEdit, JobReplay, Outcome, Past
from service.pipeline.rescore import attempt_rescore

log = logging.getLogger(__name__)

#: Different reasons that are told of a series in which nothing can be read.
TOLD_REASONS = 5


def attempt(job: Job, workshop: Workshop) -> Outcome:
    """Read, measure, draw and write one input set into ``job.out``.

    Or score the measures of a finished version again, without the images; or measure a mask that a person
    edited; or compare with a finished version, of which nothing is left.
    Not eligible, not assessable and unreadable are outcomes. Raises ServiceError or OSError for a fault
    of the installation.
    """
    if job.replayed is not None:
        return _attempt_replay(job, job.replayed, workshop)
    if job.edited is not None:
        return _attempt_edited(job, job.edited, workshop)
    if job.declined == OPTED_OUT:
        return _left_alone(job, workshop)
    if job.measured is not None:
        return attempt_rescore(job, job.measured, workshop)
    start = time.perf_counter()
    seen = _scan([Path(image.path) for image in job.images], job)
    scan_seconds = round(time.perf_counter() - start, 4)
    hashes = {image.sop_instance_uid: image.sha256 for image in job.images}
    inputs = _pick(seen, job)
    digest = input_digest(inputs, hashes) if inputs else unreadable_digest(hashes)
    if digest != job.input_digest and job.receiving:
        # Late images are arriving; when they are complete, another version takes the place of this one.
        return Outcome(input_digest=digest, finding=None, seconds={"scan": scan_seconds})
    shutil.rmtree(job.out, ignore_errors=True)
    files.make_private_dir(job.out)
    if inputs is None:
        result = _unreadable(seen, workshop, job.out)
    elif job.declined is not None:
        result = decline(inputs, workshop, job.declined, job.out)
    else:
        result = analyse_inputs(
            inputs,
            workshop,
            # Study times in headers are local times, so the objects say the installation's own.
            at=job.at.astimezone(),
            out=job.out,
            past=Past(input_digest=digest, reports=job.earlier, before=job.before, disagrees=job.disagrees),
        )
    files.settle(job.out)
    return Outcome(
        input_digest=digest,
        finding=result.finding.as_dict(),
        written=result.written,
        seconds={"scan": scan_seconds, **result.seconds},
    )


def _attempt_edited(job: Job, edit: JobEdit, workshop: Workshop) -> Outcome:
    """Measure an edited mask, or say why it is not taken."""
    start = time.perf_counter()
    try:
        if job.declined is not None:
            raise EditRefused(job.declined.text, reason=job.declined.code)
        inputs = _pick(_scan([Path(image.path) for image in job.images], job), job)
        hashes = {image.sop_instance_uid: image.sha256 for image in job.images}
        if inputs is None or input_digest(inputs, hashes) != job.input_digest:
            raise EditRefused("The images are not those that were drawn on.", reason="edit_other_images")
        scan_seconds = round(time.perf_counter() - start, 4)
        shutil.rmtree(job.out, ignore_errors=True)
        files.make_private_dir(job.out)
        past = Past(
            input_digest=job.input_digest, reports=job.earlier, before=job.before, disagrees=job.disagrees
        )
        result = measure_edited(inputs, edit, workshop, at=job.at.astimezone(), out=job.out, past=past)
    except EditRefused as error:
        return Outcome(input_digest=job.input_digest, finding=None, seconds={}, refused=error.reason)
    except UnreadableSeries as error:
        reason = Reason("edit_other_images", f"The images cannot be read any more: {error.reason.text}")
        return Outcome(input_digest=job.input_digest, finding=None, seconds={}, refused=reason)
    files.settle(job.out)
    return Outcome(
        input_digest=job.input_digest,
        finding=result.finding.as_dict(),
        written=result.written,
        seconds={"scan": scan_seconds, **result.seconds},
    )


def _attempt_replay(job: Job, was: JobReplay, workshop: Workshop) -> Outcome:
    """The outcome of comparing; the files of the run are taken away again.

    Raises InvalidRequest where it cannot be compared.
    """
    try:
        made = attempt(replace(job, replayed=None), replace(workshop, keep=False, slices_mb=0))
        replayed = compare(was, made, workshop).as_detail()
    finally:
        shutil.rmtree(job.out, ignore_errors=True)
    return Outcome(input_digest=made.input_digest, finding=None, seconds=made.seconds, replayed=replayed)


def _left_alone(job: Job, workshop: Workshop) -> Outcome:
    """The outcome for a patient who opted out: no image is opened."""
    shutil.rmtree(job.out, ignore_errors=True)
    files.make_private_dir(job.out)
    result = leave_alone(workshop, OPTED_OUT, job.out)
    files.settle(job.out)
    return Outcome(input_digest=job.input_digest, finding=result.finding.as_dict(), seconds={})


def _scan(paths: Sequence[Path], job: Job) -> Scan:
    """What the headers say; content that breaks the reader is unreadable, a fault of the disk is raised."""
    try:
        return scan(paths)
    except (OSError, MemoryError):
        raise
    except Exception:  # Other attempts would break in the same way, so this is the outcome.
        log.exception("series_unreadable", extra={"analysis_id": job.analysis_id})
        reason = Reason(UnreadableSeries.code, "The headers of these images cannot be made sense of.")
        lost = tuple(
            UnreadableFile(path=path, sop_instance_uid=None, series_uid=None, reason=reason) for path in paths
        )
        return Scan(stacks=(), unreadable=lost)


def _pick(seen: Scan, job: Job) -> Inputs | None:
    """The input set that this analysis is about; None where one of its stacks is not there.

    Of a single image what the rest of its own series says of its partners is kept.
    """
    stacks = {(stack.facts.series_uid, stack.facts.stack): stack for stack in seen.stacks}
    found = [(Role(item.role), stacks.get((item.series_uid, item.stack))) for item in job.inputs]
    picked = tuple((role, stack) for role, stack in found if stack is not None)
    if len(picked) < len(found) or not picked:
        return None
    inputs = set_again(picked)
    if inputs.fat is not None:
        return inputs
    alike = (each for each in find_input_sets(seen.stacks) if each.first is inputs.first)
    return replace(inputs, unpaired=next((each.unpaired for each in alike), None))


def _unreadable(seen: Scan, workshop: Workshop, out: Path) -> Result:
    """The finding about images of which none can be read."""
    reasons = tuple(dict.fromkeys(file.reason for file in seen.unreadable))[:TOLD_REASONS]
    nothing = Reason("no_stack", "The images form no stack of slices.")
    finding = finding_without_images(reasons or (nothing,), workshop, policy=workshop.policy.reference)
    write_finding(finding, out)
    return Result(finding=finding)
