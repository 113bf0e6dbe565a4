"""What one attempt at an analysis is to do and what came of it, as values that travel between processes.

Light on purpose: the worker describes jobs without loading what they are done with.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from service.core.status import OutputKind
from service.dicom.identity import Written
from service.errors import Reason, ServiceError


@dataclass(frozen=True, kw_only=True)
class JobImage:
    """One received image."""

    path: str
    sop_instance_uid: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """One stack that is to be analysed, in its role."""

    role: str
    series_uid: str
    stack: int


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """An older version of the analysis that had an SR."""

    input_digest: str
    #: What made it, as ``made_by`` tells.
    made_by: str
    #: SOP instance UID by variant of its SR, or of what took its place when the result was withdrawn.
    report_uids: dict[str, str]
    withdrawn: bool = False


@dataclass(frozen=True, kw_only=True)
class JobBefore:
    """A finding of an earlier study of the same person."""

    finding: dict[str, Any]
    #: Between the two studies.
    days: int


@dataclass(frozen=True, kw_only=True)
class JobObject:
    """One object of a finished version."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    sha256: str
    size: int
    variants: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class JobMeasured:
    """A finished version whose measures are to be scored again."""

    finding: dict[str, Any]
    #: The folder of its result.
    folder: str
    objects: tuple[JobObject, ...]
    #: SOP instance UID of its SR by variant.
    report_uids: dict[str, str]

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "JobMeasured":
        """What ``asdict`` made plain."""
        objects = (JobObject(**{**each, "variants": tuple(each["variants"])}) for each in content["objects"])
        return cls(**{**content, "objects": tuple(objects)})


@dataclass(frozen=True, kw_only=True)
class JobTools:
    """What was in force when the analysis was claimed."""

    model: str
    norms: tuple[str, ...]
    policy: str
    #: SHA-256 of their files, as they were activated: network, norms, policy.
    hashes: tuple[str, str, str]

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "JobTools":
        """What ``asdict`` made plain."""
        network, norms, policy = content["hashes"]
        return cls(**{**content, "norms": tuple(content["norms"]), "hashes": (network, norms, policy)})


@dataclass(frozen=True, kw_only=True)
class JobEdit:
    """A segmentation that came back edited, and what it corrects."""

    peer: str
    sop_instance_uid: str
    path: str
    sha256: str
    #: The version of the network that it is compared with, and the one that stands.
    basis: JobMeasured
    current: JobMeasured

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "JobEdit":
        """What ``asdict`` made plain."""
        versions = {name: JobMeasured.from_dict(content[name]) for name in ("basis", "current")}
        return cls(**{**content, **versions})


@dataclass(frozen=True, kw_only=True)
class JobReplay:
    """A finished version that a new run of the same is compared with."""

    analysis_id: int
    version: int
    input_digest: str
    finding: dict[str, Any]
    #: The folder of its result, and the names of its segmentations in it.
    folder: str
    segmentations: tuple[str, ...]

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "JobReplay":
        """What ``asdict`` made plain."""
        return cls(**{**content, "segmentations": tuple(content["segmentations"])})


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one attempt is to do."""

    analysis_id: int
    images: tuple[JobImage, ...]
    inputs: tuple[JobInput, ...]
    input_digest: str
    #: More images of these series are arriving.
    receiving: bool
    #: The time in the objects, with its time zone.
    at: datetime
    #: Older versions with a report, newest first.
    earlier: tuple[JobReport, ...] = ()
    #: Findings of earlier studies of the same person, newest first.
    before: tuple[JobBefore, ...] = ()
    #: Attributes in which the images of the study disagree about the person.
    disagrees: tuple[str, ...] = ()
    #: A finished version whose measures are to be scored again; None: the images are measured.
    measured: JobMeasured | None = None
    #: An edited mask that is measured in the place of a drawing of the network.
    edited: JobEdit | None = None
    #: A finished version that this run is only compared with; nothing of it is published.
    replayed: JobReplay | None = None
    #: Why nothing is to be measured, although the images may be eligible.
    declined: Reason | None = None
    #: What it is to be done with; None: whatever the workshop was opened with.
    tools: JobTools | None = None
    #: Folder of this attempt alone.
    out: Path

    def as_dict(self) -> dict[str, Any]:
        """The job as plain values, ready for JSON."""
        return {**asdict(self), "at": self.at.isoformat(), "out": str(self.out)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Job":
        """The job that ``as_dict`` wrote."""
        return cls(
            **{
                **content,
                "images": tuple(JobImage(**item) for item in content["images"]),
                "inputs": tuple(JobInput(**item) for item in content["inputs"]),
                "at": datetime.fromisoformat(content["at"]),
                "earlier": tuple(JobReport(**item) for item in content["earlier"]),
                "before": tuple(JobBefore(**item) for item in content["before"]),
                "disagrees": tuple(content["disagrees"]),
                "declined": content["declined"] and Reason(**content["declined"]),
                "measured": content["measured"] and JobMeasured.from_dict(content["measured"]),
                "tools": content["tools"] and JobTools.from_dict(content["tools"]),
                "replayed": content["replayed"] and JobReplay.from_dict(content["replayed"]),
                "edited": content["edited"] and JobEdit.from_dict(content["edited"]),
                "out": Path(content["out"]),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one attempt."""

    #: SHA-256 over the images that were really used.
    input_digest: str
    #: finding.json; None when images are arriving that will make another version.
    finding: dict[str, Any] | None
    written: tuple[Written, ...] = ()
    #: Seconds by step.
    seconds: dict[str, float]
    #: Why an edited mask is not taken; there is no finding then.
    refused: Reason | None = None
    #: How a replay compares with what it repeats, in codes and counts; there is no finding then.
    replayed: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The outcome as plain values, ready for JSON."""
        written = [{**asdict(item), "path": item.path.name} for item in self.written]
        return {**asdict(self), "written": written}

    @classmethod
    def from_dict(cls, content: dict[str, Any], *, out: Path) -> "Outcome":
        """The outcome that ``as_dict`` wrote; its files lie directly in ``out``, whatever it says."""
        written = tuple(
            Written(
                **{
                    **item,
                    "kind": OutputKind(item["kind"]),
                    "path": out / Path(item["path"]).name,
                    "variants": tuple(item["variants"]),
                }
            )
            for item in content["written"]
        )
        refused = content["refused"] and Reason(**content["refused"])
        return cls(**{**content, "written": written, "refused": refused})


#: Does a job, giving up with LeaseLost once the second argument says that nobody wants it any more.
Perform = Callable[[Job, Callable[[], bool]], Outcome]


def made_by(finding: Mapping[str, Any]) -> str:
    """What shapes a report beside its images: another value stands for another report."""
    model = finding.get("model") or {}
    definition = finding.get("definition") or {}
    parts = [model.get(name) for name in ("sha256", "provider", "precision")]
    parts += [definition.get("id"), definition.get("version")]
    parts += [finding.get("policy"), finding.get("software"), *(finding.get("norms") or ())]
    if finding.get("measured_by") is not None:
        parts.append({"measured_by": finding["measured_by"]})
    if finding.get("edited") is not None:
        parts.append({"edited": finding["edited"]["sha256"]})
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Past:
    """What was said before of the same images, and of the same person."""

    input_digest: str = ""
    reports: tuple[JobReport, ...] = ()
    before: tuple[JobBefore, ...] = ()
    #: Attributes in which the images of the study disagree about the person.
    disagrees: tuple[str, ...] = ()

    def superseded(self, finding: Mapping[str, Any]) -> dict[str, str]:
        """The SR by variant that this finding's takes the place of; empty where there is none.

        It is the newest of other images, or made otherwise, or withdrawn. A rerun that is made alike repeats
        what the earlier run said, so that it can be found identical.
        """
        mine = (self.input_digest, made_by(finding))
        others = (
            report
            for report in self.reports
            if report.withdrawn or (report.input_digest, report.made_by) != mine
        )
        return dict(next((report.report_uids for report in others), {}))


def trouble(error: Exception) -> Reason:
    """What a row says of an attempt that raised ``error``; never what stands in a foreign message."""
    if isinstance(error, ServiceError):
        return error.reason
    return Reason("internal_fault", f"{type(error).__name__} in the analysis.")
