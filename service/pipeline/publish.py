"""From a finding to its objects and pictures: what radiologists and auditors open."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.core.finding import Finding
from service.core.language import ENGLISH, IN, Words
from service.core.mask import Label, Mask
from service.core.norms import NormTable, value_at
from service.core.status import OutputKind
from service.core.variant import Variant
from service.core.volume import Volume
from service.dicom.capture import write_capture
from service.dicom.groups import Segmented
from service.dicom.gsps import write_gsps
from service.dicom.identity import ObjectIdentity, Reference, Written, fingerprint, own_reference
from service.dicom.pdf import write_pdf
from service.dicom.seg import write_seg
from service.dicom.sr import class_uid, write_sr
from service.dicom.stack import Stack
from service.pictures.content import Banner, Panel
from service.pictures.figures import ReferenceCurve
from service.pictures.overlay import KeySlice, captioned, key_slices, make_panels, png
from service.pictures.pages import draw_charts, report_pdf
from service.pictures.summary import summary_image
from service.pipeline.inputs import Inputs
from service.pipeline.stations import Station

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
    stations: tuple[Station, ...] = (),
    identity: ObjectIdentity,
    norms: tuple[NormTable, ...],
    variants: tuple[Variant, ...] = (Variant(),),
    gsps: bool = False,
    older: Mapping[str, str] | None = None,
    drawn: "Drawn | None" = None,
    out: Path,
) -> tuple[Written, ...]:
    """Write the objects and pictures of a measured or not assessable finding into ``out``.

    The first variant has the plain file names, and its report is the one that the pages show; the files of
    the others carry their names. A segmentation is written once for all that take it; ``stations`` have one
    each, and no ``mask`` together. ``older`` are the reports, by variant, that these take the place of.
    Without the images, ``drawn`` is what was made of them before.
    """
    making = _Making(
        inputs=inputs,
        finding=finding,
        volume=volume,
        mask=mask,
        stations=stations,
        identity=identity,
        norms=norms,
        older=older or {},
        drawn=drawn or Drawn(),
        out=out,
    )
    written: list[Written] = []
    places: dict[tuple[OutputKind, object], int] = {}
    for number, variant in enumerate(variants):
        suffix = f".{variant.name}" if number else ""
        segs = []
        for kind, key, make in _shared(making, variant, gsps=gsps):
            place = places.setdefault((kind, key), len(written))
            if place == len(written):
                written.append(make(suffix))
            written[place] = replace(written[place], variants=(*written[place].variants, variant.name))
            if kind is OutputKind.SEG:
                segs.append(written[place])
        written += [replace(each, variants=(variant.name,)) for each in _own(making, variant, segs, suffix)]
    _write_pictures(making, volume, mask)
    return tuple(written)


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """What was made of the images before and no score shapes, so that it is used again without them."""

    key_slices: tuple[KeySlice, ...] = ()
    #: The same in the size of the picture of the web page, where there are several stations.
    wide_slices: tuple[KeySlice, ...] = ()
    #: Segmentations and outlines by kind and by what tells those of one kind apart, as ``_shared`` does.
    objects: Mapping[tuple[OutputKind, object], Written] = field(default_factory=dict)
    #: The picture of the web page.
    overlay: Path | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Making:
    """What every object of one finding is made from."""

    inputs: Inputs
    finding: Finding
    volume: Volume | None
    mask: Mask | None
    stations: tuple[Station, ...]
    identity: ObjectIdentity
    norms: tuple[NormTable, ...]
    older: Mapping[str, str]
    drawn: Drawn
    out: Path
    _charts: dict[Words, Sequence[NDArray[np.uint8]]] = field(default_factory=dict)
    _panels: dict[Words, tuple[Panel, ...]] = field(default_factory=dict)

    def charts(self, words: Words) -> Sequence[NDArray[np.uint8]]:
        """Profile and reference curves, drawn once for each language."""
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
        """Key slices with the mask, drawn once."""
        drawn = self.drawn.key_slices
        return drawn if drawn or self.volume is None else key_slices(self.volume, self.mask)

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
    parts = _parts(making)
    for part in parts:
        key = (variant.shape, *part.key)
        shape = key if part.key else variant.shape
        again = _again(making, OutputKind.SEG, shape, part)
        yield OutputKind.SEG, shape, again or _seg(making, variant, part)
    for part in parts:
        language = (variant.language, *part.key) if part.key else variant.language
        again = _again(making, OutputKind.GSPS, language, part)
        if gsps and (again is not None or making.volume is not None or making.stations):
            # Outlines are drawn on images, so without them there are those of before only.
            yield OutputKind.GSPS, language, again or _outlines(making, variant, part)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """One stack that was drawn on."""

    stack: Stack
    mask: Mask
    identity: ObjectIdentity
    #: The number of the station, nothing for a single stack.
    key: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What the names of its files end with."""
        return f"-{self.key[0]}" if self.key and self.key[0] > 1 else ""


def _parts(making: _Making) -> tuple[_Part, ...]:
    """The stacks with something drawn on them; none where nothing was measured."""
    if making.mask is not None:
        return (_Part(stack=making.inputs.first, mask=making.mask, identity=making.identity),)
    count = len(making.stations)
    return tuple(
        _Part(
            stack=station.stack,
            mask=station.mask,
            identity=of_station(making.identity, station.number, count),
            key=(station.number,),
        )
        for station in making.stations
        if station.mask.labels.any()
    )


def of_station(identity: ObjectIdentity, number: int, count: int) -> ObjectIdentity:
    """The identity of the objects of one station: viewers tell them apart by its number."""
    name = f"station {number}/{count}"
    return replace(
        identity,
        mask_digest=fingerprint(identity.mask_digest, name),
        report_digest=fingerprint(identity.report_digest, name),
        block=name,
        series_offset=10 * (number - 1),
    )


def _seg(making: _Making, variant: Variant, part: _Part) -> Callable[[str], Written]:
    """How the segmentation of one stack is made."""
    model, definition = making.finding.model, making.finding.definition
    assert model is not None, "what is measured has a network"
    assert definition is not None, "and a definition"

    def seg(suffix: str) -> Written:
        return write_seg(
            part.stack,
            part.mask,
            model=model,
            definition=definition,
            identity=part.identity,
            path=making.out / f"seg{part.name}{suffix}.dcm",
            encoding=variant.encoding,
            compressed=variant.encoding == "labelmap",
        )

    return seg


def _outlines(making: _Making, variant: Variant, part: _Part) -> Callable[[str], Written]:
    """How the outlines on one stack are made."""

    def outlines(suffix: str) -> Written:
        named = making.named(Variant(language=variant.language))
        identity = replace(part.identity, report_digest=named.report_digest) if part.key else named
        path = making.out / f"gsps{part.name}{suffix}.dcm"
        return write_gsps(part.stack, part.mask, identity=identity, path=path, words=IN[variant.language])

    return outlines


def _again(making: _Making, kind: OutputKind, key: object, part: _Part) -> Callable[[str], Written] | None:
    """How an object that was made before becomes one of these, byte for byte; None where there is none."""
    before = making.drawn.objects.get((kind, key))
    if before is None:
        return None

    def copy(suffix: str) -> Written:
        path = making.out / f"{kind.value.lower()}{part.name}{suffix}.dcm"
        path.write_bytes(before.path.read_bytes())
        return replace(before, path=path, variants=())

    return copy


def _own(making: _Making, variant: Variant, segs: Sequence[Written], suffix: str) -> tuple[Written, ...]:
    """Report, capture and document of one variant."""
    words = IN[variant.language]
    stack, out = making.inputs.first, making.out
    identity = making.named(variant)
    shown = making.finding if variant.flags else replace(making.finding, flags=())
    banner = _banner(making.inputs)
    panels = making.panels(words)
    picture = summary_image(shown, banner, panels, words)
    capture = write_capture(stack, picture, identity=identity, path=out / f"capture{suffix}.dcm")
    drawn = _parts(making)
    # The planar form draws on one stack: of several stations on the middle one.
    middle = drawn[len(drawn) // 2] if making.stations and drawn else None
    sr = write_sr(
        stack if middle is None else middle.stack,
        shown,
        segs=[
            Segmented(seg=seg, stack=part.stack, volumes_ml=_volumes(making, part))
            for seg, part in zip(segs, drawn, strict=True)
        ],
        others=(capture,),
        further=_further(making.inputs, stack if middle is None else middle.stack),
        identity=identity,
        path=out / f"sr{suffix}.dcm",
        predecessor=making.predecessor(variant),
        sr_class=variant.sr_class,
        form=variant.sr_form,
        mask=making.mask if middle is None else middle.mask,
        words=words,
    )
    pdf = report_pdf(shown, banner, panels, charts=making.charts(words), words=words)
    (out / f"report{suffix}.pdf").write_bytes(pdf)
    return sr, capture, write_pdf(stack, pdf, sr=sr, identity=identity, path=out / f"report{suffix}.dcm")


def _further(inputs: Inputs, shown: Stack) -> tuple[Stack, ...]:
    """The stacks beside the one that a report draws on."""
    return tuple(stack for _, stack in inputs.stacks if stack is not shown)


def _volumes(making: _Making, part: _Part) -> Mapping[Label, float] | None:
    """What one station's segments hold; None for a single stack, whose are those of the finding."""
    return next((each.volumes_ml for each in making.stations if (each.number,) == part.key), None)


def _write_pictures(making: _Making, volume: Volume | None, mask: Mask | None) -> None:
    """The pictures of the web page: key slices, profile, reference curves."""
    charts, out = making.charts(ENGLISH), making.out
    if volume is not None:
        panels = make_panels(volume, mask, size_px=WEB_PANEL_PX)
        (out / "overlay.png").write_bytes(png(_side_by_side([panel.rgb for panel in panels])))
    elif making.drawn.wide_slices:
        row = _side_by_side([each.rgb for each in making.drawn.wide_slices])
        (out / "overlay.png").write_bytes(png(row))
    elif making.drawn.overlay is not None:
        (out / "overlay.png").write_bytes(making.drawn.overlay.read_bytes())
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
