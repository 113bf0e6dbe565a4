"""From a finding to its objects and pictures: what radiologists and auditors open."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.finding import Finding
from service.core.mask import Mask
from service.core.norms import NormTable, value_at
from service.core.volume import Volume
from service.dicom.capture import write_capture
from service.dicom.identity import ObjectIdentity, Written
from service.dicom.pdf import write_pdf
from service.dicom.seg import write_seg
from service.dicom.sr import write_sr
from service.pictures.content import Banner
from service.pictures.figures import ReferenceCurve
from service.pictures.overlay import make_panels, png
from service.pictures.pages import draw_charts, report_pdf
from service.pictures.summary import summary_image
from service.pipeline.inputs import Inputs

#: z of the 5th, 50th and 95th percentile.
CURVE_Z = (-1.644854, 0.0, 1.644854)
#: Steps of age in a drawn reference curve.
CURVE_POINTS = 33
#: Size of each key slice in the picture of the web page.
WEB_PANEL_PX = (480, 400)
OBJECT_NAMES = ("seg.dcm", "sr.dcm", "capture.dcm", "report.dcm", "report.pdf")
PICTURE_NAMES = ("overlay.png", "profile.png", "reference.png")
#: Between pictures in a row.
GAP_PX = 4


def write_objects(
    inputs: Inputs,
    finding: Finding,
    *,
    volume: Volume | None,
    mask: Mask | None,
    identity: ObjectIdentity,
    norms: tuple[NormTable, ...],
    flags: bool,
    out: Path,
) -> tuple[Written, ...]:
    """Write the objects and pictures of a measured or not assessable finding into ``out``.

    Without ``flags`` the objects carry the scores and no flag texts; finding.json has them anyway.
    """
    stack = inputs.first
    shown = finding if flags else replace(finding, flags=())
    banner = _banner(inputs)
    panels = make_panels(volume, mask) if volume is not None else ()
    seg = None
    if mask is not None and finding.model is not None and finding.definition is not None:
        seg = write_seg(
            stack,
            mask,
            model=finding.model,
            definition=finding.definition,
            identity=identity,
            path=out / "seg.dcm",
        )
    capture = write_capture(
        stack, summary_image(shown, banner, panels), identity=identity, path=out / "capture.dcm"
    )
    sr = write_sr(
        stack,
        shown,
        seg=seg,
        others=(capture,),
        further=() if inputs.fat is None else (inputs.fat,),
        identity=identity,
        path=out / "sr.dcm",
    )
    charts = draw_charts(finding, _curves(finding, norms))
    pdf = report_pdf(shown, banner, panels, charts=charts)
    (out / "report.pdf").write_bytes(pdf)
    document = write_pdf(stack, pdf, sr=sr, identity=identity, path=out / "report.dcm")
    _write_pictures(volume, mask, charts, out)
    return (*((seg,) if seg is not None else ()), sr, capture, document)


def _write_pictures(
    volume: Volume | None, mask: Mask | None, charts: Sequence[NDArray[np.uint8]], out: Path
) -> None:
    """The pictures of the web page: key slices, profile, reference curves."""
    if volume is not None:
        panels = make_panels(volume, mask, size_px=WEB_PANEL_PX)
        (out / "overlay.png").write_bytes(png(_side_by_side([panel.rgb for panel in panels])))
    if charts:
        (out / "profile.png").write_bytes(png(charts[0]))
    if len(charts) > 1:
        (out / "reference.png").write_bytes(png(np.vstack(charts[1:])))


def _side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """RGB pictures in a row, on black where one is less high."""
    height = max(len(picture) for picture in pictures)
    padded = [np.pad(picture, ((0, height - len(picture)), (0, GAP_PX), (0, 0))) for picture in pictures]
    row: NDArray[np.uint8] = np.hstack(padded)[:, :-GAP_PX]
    return row


def _banner(inputs: Inputs) -> Banner:
    study = inputs.first.study
    return Banner(
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        birth_date=study.birth_date,
        sex=study.sex,
        study_date=study.study_date,
        accession_number=study.accession_number,
        series_description=" + ".join(stack.facts.description for _, stack in inputs.stacks),
    )


def _curves(finding: Finding, norms: tuple[NormTable, ...]) -> dict[str, ReferenceCurve]:
    """The norm of each scored measure, by age, for the person's sex."""
    sex = finding.person.sex if finding.person else None
    tables = {table.reference: table for table in norms}
    scored = [score for score in finding.scores if score.state == "scored" and score.norm in tables]
    if sex is None:
        return {}
    return {score.measure: _curve(tables[str(score.norm)], sex) for score in scored}


def _curve(table: NormTable, sex: str) -> ReferenceCurve:
    knots = table.knots[sex]
    ages = np.linspace(knots[0].age_years, knots[-1].age_years, CURVE_POINTS)
    at_ages = [knot for age in ages if (knot := table.at(sex, float(age))) is not None]
    low, middle, high = (tuple(value_at(z, knot) for knot in at_ages) for z in CURVE_Z)
    return ReferenceCurve(
        age_years=tuple(knot.age_years for knot in at_ages),
        p5=low,
        p50=middle,
        p95=high,
        label=table.title,
        status=table.status,
    )
