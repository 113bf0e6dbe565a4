"""From a finding to its objects and pictures: what radiologists and auditors open."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.finding import Finding
from service.core.language import ENGLISH, IN, Words
from service.core.mask import Mask
from service.core.norms import NormTable, value_at
from service.core.status import OutputKind
from service.core.variant import Variant
from service.core.volume import Volume
from service.dicom.capture import write_capture
from service.dicom.gsps import write_gsps
from service.dicom.identity import ObjectIdentity, Reference, Written, fingerprint, own_reference
from service.dicom.pdf import write_pdf
from service.dicom.seg import write_seg
from service.dicom.sr import class_uid, write_sr
from service.pictures.content import Banner, Panel
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
    variants: tuple[Variant, ...] = (Variant(),),
    gsps: bool = False,
    older: Mapping[str, str] | None = None,
    out: Path,
) -> tuple[Written, ...]:
    """Write the objects and pictures of a measured or not assessable finding into ``out``.

    The first variant has the plain file names, and its report is the one that the pages show; the files of
    the others carry their names. A segmentation is written once for all that take it. ``older`` are the
    reports, by variant, that these take the place of.
    """
    making = _Making(
        inputs=inputs,
        finding=finding,
        volume=volume,
        mask=mask,
        identity=identity,
        norms=norms,
        older=older or {},
        out=out,
    )
    written: list[Written] = []
    drawn: dict[tuple[OutputKind, object], int] = {}
    for number, variant in enumerate(variants):
        suffix = f".{variant.name}" if number else ""
        for kind, key, make in _shared(making, variant, gsps=gsps):
            place = drawn.setdefault((kind, key), len(written))
            if place == len(written):
                written.append(make(suffix))
            written[place] = replace(written[place], variants=(*written[place].variants, variant.name))
        drawing = drawn.get((OutputKind.SEG, variant.shape))
        seg = None if drawing is None else written[drawing]
        written += [replace(each, variants=(variant.name,)) for each in _own(making, variant, seg, suffix)]
    _write_pictures(volume, mask, making.charts(ENGLISH), out)
    return tuple(written)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Making:
    """What every object of one finding is made from."""

    inputs: Inputs
    finding: Finding
    volume: Volume | None
    mask: Mask | None
    identity: ObjectIdentity
    norms: tuple[NormTable, ...]
    older: Mapping[str, str]
    out: Path
    _charts: dict[Words, Sequence[NDArray[np.uint8]]] = field(default_factory=dict)
    _panels: dict[Words, tuple[Panel, ...]] = field(default_factory=dict)

    def charts(self, words: Words) -> Sequence[NDArray[np.uint8]]:
        """Profile and reference curves, drawn once for each language."""
        if words not in self._charts:
            self._charts[words] = draw_charts(self.finding, _curves(self.finding, self.norms), words)
        return self._charts[words]

    def panels(self, words: Words) -> tuple[Panel, ...]:
        """Key slices with the mask, drawn once for each language."""
        if self.volume is None:
            return ()
        if words not in self._panels:
            self._panels[words] = make_panels(self.volume, self.mask, words=words)
        return self._panels[words]

    def named(self, variant: Variant) -> ObjectIdentity:
        """The identity of the objects of one variant; that of the usual one is the finding's own."""
        if variant == Variant():
            return self.identity
        digest = fingerprint(self.identity.report_digest, variant.name)
        return replace(self.identity, report_digest=digest)

    def predecessor(self, variant: Variant) -> Reference | None:
        """The report of this variant that the new one takes the place of."""
        report = self.older.get(variant.name)
        if report is None:
            return None
        study = self.inputs.first.facts.study_uid
        return own_reference(study, class_uid(variant.sr_class), report)


def _shared(
    making: _Making, variant: Variant, *, gsps: bool
) -> Iterator[tuple[OutputKind, object, Callable[[str], Written]]]:
    """Objects that several variants have alike: kind, what tells them apart, and how one is made."""
    mask, model, definition = making.mask, making.finding.model, making.finding.definition
    if mask is None or model is None or definition is None:
        return

    def seg(suffix: str) -> Written:
        return write_seg(
            making.inputs.first,
            mask,
            model=model,
            definition=definition,
            identity=making.identity,
            path=making.out / f"seg{suffix}.dcm",
            encoding=variant.encoding,
            compressed=variant.encoding == "labelmap",
        )

    def outlines(suffix: str) -> Written:
        path = making.out / f"gsps{suffix}.dcm"
        identity = making.named(Variant(language=variant.language))
        words = IN[variant.language]
        return write_gsps(making.inputs.first, mask, identity=identity, path=path, words=words)

    yield OutputKind.SEG, variant.shape, seg
    if gsps:
        yield OutputKind.GSPS, variant.language, outlines


def _own(making: _Making, variant: Variant, seg: Written | None, suffix: str) -> tuple[Written, ...]:
    """Report, capture and document of one variant."""
    words = IN[variant.language]
    stack, out = making.inputs.first, making.out
    identity = making.named(variant)
    shown = making.finding if variant.flags else replace(making.finding, flags=())
    banner = _banner(making.inputs)
    panels = making.panels(words)
    picture = summary_image(shown, banner, panels, words)
    capture = write_capture(stack, picture, identity=identity, path=out / f"capture{suffix}.dcm")
    sr = write_sr(
        stack,
        shown,
        seg=seg,
        others=(capture,),
        further=() if making.inputs.fat is None else (making.inputs.fat,),
        identity=identity,
        path=out / f"sr{suffix}.dcm",
        predecessor=making.predecessor(variant),
        sr_class=variant.sr_class,
        form=variant.sr_form,
        mask=making.mask,
        words=words,
    )
    pdf = report_pdf(shown, banner, panels, charts=making.charts(words), words=words)
    (out / f"report{suffix}.pdf").write_bytes(pdf)
    return sr, capture, write_pdf(stack, pdf, sr=sr, identity=identity, path=out / f"report{suffix}.dcm")


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
