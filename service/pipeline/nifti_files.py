"""What is made of a NIfTI file: a mask in its space, the summary as a picture, and the report; no DICOM."""

from pathlib import Path
from typing import Final

from service import files
from service.core.finding import Finding
from service.core.mask import Mask
from service.core.norms import NormTable
from service.core.status import OutputKind
from service.core.variant import Variant
from service.core.volume import Volume
from service.dicom.identity import Written
from service.dicom.nifti import write_nifti_mask
from service.pictures.overlay import png
from service.pipeline.drawings import Drawings, Drawn
from service.pipeline.inputs import Inputs

MASK_NAME, CAPTURE_NAME, REPORT_NAME = "mask.nii.gz", "capture.png", "report.pdf"
NIFTI_NAMES: Final = (MASK_NAME, CAPTURE_NAME)


def write_nifti_files(
    inputs: Inputs,
    finding: Finding,
    *,
    volume: Volume | None,
    mask: Mask | None,
    norms: tuple[NormTable, ...],
    out: Path,
) -> tuple[Written, ...]:
    """Write mask (where there is one), picture, report and the pictures of the web page into ``out``.

    The kinds are those of the DICOM objects that say the same; there are no UIDs.
    """
    drawings = Drawings(inputs=inputs, finding=finding, volume=volume, mask=mask, norms=norms, drawn=Drawn())
    variant = Variant()
    written = []
    if mask is not None:
        write_nifti_mask(inputs.first.frames[0].path, mask.labels, out / MASK_NAME)
        written.append(_written(OutputKind.SEG, out / MASK_NAME))
    files.write_atomically(out / CAPTURE_NAME, png(drawings.summary(variant)))
    written.append(_written(OutputKind.SC, out / CAPTURE_NAME))
    files.write_atomically(out / REPORT_NAME, drawings.document(variant))
    written.append(_written(OutputKind.PDF, out / REPORT_NAME))
    drawings.write_pictures(out)
    return tuple(written)


def _written(kind: OutputKind, path: Path) -> Written:
    return Written(
        kind=kind,
        sop_class_uid="",
        sop_instance_uid="",
        path=path,
        sha256=files.sha256_of(path),
        size=path.stat().st_size,
    )
