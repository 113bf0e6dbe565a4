"""What is drawn of one finding: key slices, charts, summary, document, and the pictures of the web page.

Each is drawn once for all variants that show it alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
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
from service.dicom.identity import Written
from service.pictures.content import Banner, Panel
from service.pictures.figures import ReferenceCurve, draw_curves
from service.pictures.overlay import KeySlice, captioned, key_slices, make_panels, png
from service.pictures.pages import draw_charts, report_pdf
from service.pictures.summary import BELOW_PX, BESIDE_PX, summary_image
from service.pipeline.inputs import Inputs

#: z of the 5th, 50th and 95th percentile.
CURVE_Z = (-1.644854, 0.0, 1.644854)
#: Steps of age in a drawn reference curve.
CURVE_POINTS = 33
#: Size of each key slice in the picture of the web page.
WEB_PANEL_PX = (480, 400)
#: Between pictures in a row.
GAP_PX = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """What was made of the images before and no score shapes, so that it is used again without them."""

    key_slices: tuple[KeySlice, ...] = ()
    #: The same in the size of the picture of the web page, where there are several stations.
    wide_slices: tuple[KeySlice, ...] = ()
    #: Segmentations and outlines by kind and by what tells those of one kind apart, as in ``publish``.
    objects: Mapping[tuple[OutputKind, object], Written] = field(default_factory=dict)
    #: The picture of the web page.
    overlay: Path | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawings:
    """The drawings of one finding, each made when it is first asked for."""

    inputs: Inputs
    finding: Finding
    volume: Volume | None
    mask: Mask | None
    norms: tuple[NormTable, ...]
    drawn: Drawn
    _charts: dict[Words, Sequence[NDArray[np.uint8]]] = field(default_factory=dict)
    _panels: dict[Words, tuple[Panel, ...]] = field(default_factory=dict)
    _documents: dict[Variant, bytes] = field(default_factory=dict)

    def summary(self, variant: Variant) -> NDArray[np.uint8]:
        """The picture of the capture."""
        words = IN[variant.language]
        tables = _curves(self.finding, self.norms)
        curves = draw_curves(self.finding, tables, sizes_px=[BESIDE_PX, BELOW_PX], words=words, bare=True)
        shown, banner = self.shown(variant), _banner(self.inputs)
        return summary_image(shown, banner, self.panels(words), words, curves=curves)

    def document(self, variant: Variant) -> bytes:
        """The report as PDF."""
        page, words = variant.page, IN[variant.language]
        if page not in self._documents:
            banner, panels = _banner(self.inputs), self.panels(words)
            charts = self.charts(words)
            self._documents[page] = report_pdf(
                self.shown(variant), banner, panels, charts=charts, words=words
            )
        return self._documents[page]

    def shown(self, variant: Variant) -> Finding:
        """The finding as far as a variant shows it."""
        return self.finding if variant.flags else replace(self.finding, flags=())

    def charts(self, words: Words) -> Sequence[NDArray[np.uint8]]:
        """Profile and reference curves."""
        if words not in self._charts:
            self._charts[words] = draw_charts(self.finding, _curves(self.finding, self.norms), words)
        return self._charts[words]

    def panels(self, words: Words) -> tuple[Panel, ...]:
        """Key slices with the mask, with captions of each language."""
        if words not in self._panels:
            self._panels[words] = captioned(self.key_slices, words)
        return self._panels[words]

    @cached_property
    def key_slices(self) -> tuple[KeySlice, ...]:
        """Key slices with the mask."""
        before = self.drawn.key_slices
        return before if before or self.volume is None else key_slices(self.volume, self.mask)

    def write_pictures(self, out: Path) -> None:
        """Write the pictures of the web page: key slices, profile, reference curves."""
        charts = self.charts(ENGLISH)
        if self.volume is not None:
            panels = make_panels(self.volume, self.mask, size_px=WEB_PANEL_PX)
            (out / "overlay.png").write_bytes(png(_side_by_side([panel.rgb for panel in panels])))
        elif self.drawn.wide_slices:
            row = _side_by_side([each.rgb for each in self.drawn.wide_slices])
            (out / "overlay.png").write_bytes(png(row))
        elif self.drawn.overlay is not None:
            (out / "overlay.png").write_bytes(self.drawn.overlay.read_bytes())
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
        series_description=" + ".join(dict.fromkeys(stack.facts.description for _, stack in inputs.stacks)),
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
