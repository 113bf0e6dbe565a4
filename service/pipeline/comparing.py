"""A stored result beside the same analysis run again: bit for bit the same, or counted where it is not."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.core.sameness import MEASURED, SCORED, Comparison, compare_findings, same_yardsticks
from service.core.status import OutputKind
from service.dicom.drawn import Place, Slice, differing_voxels, read_drawn
from service.errors import InvalidRequest, ServiceError
from service.inference.device import device_kind
from service.pipeline.analyse import Workshop
from service.pipeline.job import JobReplay, Outcome
from service.pipeline.kept import read_kept

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


def compare(was: JobReplay, outcome: Outcome, workshop: Workshop) -> Replayed:
    """The stored result beside the new one; raises InvalidRequest where they are of other images."""
    finding = outcome.finding
    if finding is None or outcome.input_digest != was.input_digest:
        raise InvalidRequest(
            "Images of this series came after this version was made, so it is of other images.",
            reason="other_images",
        )
    drawn = [each.path for each in outcome.written if each.kind is OutputKind.SEG]
    before, now = _read_all([Path(was.folder) / name for name in was.segmentations]), _read_all(drawn)
    total, by_segment = differing_voxels(before, now)
    comparable = same_yardsticks(was.finding, finding)
    parts = (*MEASURED, *SCORED) if comparable else MEASURED
    segmenter = workshop.segmenter
    notes = dict(_notes(was, finding))
    if not comparable:
        notes["scores_not_compared"] = NOTES["scores_not_compared"]
    return Replayed(
        analysis_id=was.analysis_id,
        version=was.version,
        numbers=compare_findings(was.finding, finding, parts),
        voxels=sum(int((labels > 0).sum()) for labels in before.values()),
        differing_voxels=total,
        by_segment=by_segment,
        notes=notes,
        provider=segmenter.provider,
        precision=segmenter.precision,
        device=device_kind(segmenter.provider),
    )


def _read_all(paths: Sequence[Path]) -> dict[Place, Slice]:
    """The voxels of several segmentations, which lie on different images."""
    drawn: dict[Place, Slice] = {}
    for path in paths:
        drawn |= read_drawn(path)
    return drawn


def _notes(was: JobReplay, finding: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is not the same about the two runs, in codes and words."""
    notes = []
    then, now = was.finding.get("model"), finding.get("model")
    if then and now:
        pairs = [("network_differs", _network(then), _network(now))]
        pairs += [(f"{part}_differs", then[part], now[part]) for part in ("provider", "precision")]
        notes += [(code, NOTES[code].format(was=a, now=b)) for code, a, b in pairs if a != b]
        here, there = device_kind(now["provider"]), _device_of(Path(was.folder))
        if there is None:
            notes.append(("device_not_known", NOTES["device_not_known"].format(now=here)))
        elif there != here:
            notes.append(("device_differs", NOTES["device_differs"].format(was=there, now=here)))
    measured_by = was.finding.get("measured_by") or was.finding["software"]
    if measured_by != finding["software"]:
        said = NOTES["software_differs"].format(was=measured_by, now=finding["software"])
        notes.append(("software_differs", said))
    return notes


def _network(model: Mapping[str, Any]) -> str:
    return f"{model['name']} {model['version']} ({model['sha256'][:12]})"


def _device_of(folder: Path) -> str | None:
    """The device that measured, where it was kept."""
    with tempfile.TemporaryDirectory() as desk:
        try:
            return read_kept(folder, Path(desk)).device
        except ServiceError:
            return None
