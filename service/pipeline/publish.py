"""From a finding to its objects and pictures: what radiologists and auditors open."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.core.finding import Finding
from service.core.language import IN
from service.core.mask import Label, Mask
from service.core.norms import NormTable
from service.core.status import OutputKind
from service.core.variant import SR_CLASS_UIDS, Variant
from service.core.volume import Volume
from service.dicom.capture import write_capture
from service.dicom.groups import Segmented
from service.dicom.gsps import write_gsps
from service.dicom.identity import ObjectIdentity, Reference, Written, fingerprint, own_reference
from service.dicom.pdf import write_pdf
from service.dicom.seg import write_seg
from service.dicom.sr import Edition, write_sr
from service.dicom.stack import Stack
from service.pipeline.drawings import Drawings, Drawn
from service.pipeline.inputs import Inputs
from service.pipeline.stations import Station

OBJECT_NAMES = ("seg.dcm", "sr.dcm", "capture.dcm", "report.dcm", "report.pdf")
PICTURE_NAMES = ("overlay.png", "profile.png", "reference.png")


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
    drawn = drawn or Drawn()
    making = _Making(
        inputs=inputs,
        finding=finding,
        mask=mask,
        stations=stations,
        identity=identity,
        older=older or {},
        variants=variants,
        gsps=gsps,
        drawings=Drawings(inputs=inputs, finding=finding, volume=volume, mask=mask, norms=norms, drawn=drawn),
        out=out,
    )
    written: list[Written] = []
    places: dict[tuple[OutputKind, object], int] = {}
    for variant in variants:
        mine: dict[OutputKind, list[Written]] = {}
        for kind, key, make in (*_of_stacks(making, variant), *_pages(making, variant, mine)):
            place = places.setdefault((kind, key), len(written))
            if place == len(written):
                written.append(make())
            written[place] = replace(written[place], variants=(*written[place].variants, variant.name))
            mine.setdefault(kind, []).append(written[place])
    making.drawings.write_pictures(out)
    return tuple(written)


#: One object: its kind, what tells it from others of its kind, and how it is made where it is not there yet.
_Object = tuple[OutputKind, object, Callable[[], Written]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Making:
    """What every object of one finding is made from."""

    inputs: Inputs
    finding: Finding
    mask: Mask | None
    stations: tuple[Station, ...]
    identity: ObjectIdentity
    older: Mapping[str, str]
    variants: tuple[Variant, ...]
    gsps: bool
    drawings: Drawings
    out: Path
    #: Reports of each content in all classes that are asked for.
    reports: dict[Variant, Written] = field(default_factory=dict)

    def path(self, name: str, variant: Variant, ending: str = "dcm") -> Path:
        """Where an object lies that was first made for this variant."""
        suffix = "" if variant == self.variants[0] else f".{variant.name}"
        return self.out / f"{name}{suffix}.{ending}"

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
        return own_reference(study, SR_CLASS_UIDS[variant.sr_class], report)


def _of_stacks(making: _Making, variant: Variant) -> Iterator[_Object]:
    """Segmentations and outlines, of each stack that was drawn on."""
    parts = _parts(making)
    for part in parts:
        shape = (variant.shape, *part.key) if part.key else variant.shape
        again = _again(making, OutputKind.SEG, shape, variant, part)
        yield OutputKind.SEG, shape, again or _seg(making, variant, part)
    for part in parts:
        language = (variant.language, *part.key) if part.key else variant.language
        again = _again(making, OutputKind.GSPS, language, variant, part)
        if making.gsps and (again is not None or making.drawings.volume is not None or making.stations):
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


def _seg(making: _Making, variant: Variant, part: _Part) -> Callable[[], Written]:
    """How the segmentation of one stack is made."""
    model, definition = making.finding.model, making.finding.definition
    assert model is not None, "what is measured has a network"
    assert definition is not None, "and a definition"

    def seg() -> Written:
        return write_seg(
            part.stack,
            part.mask,
            model=model,
            definition=definition,
            edited=making.finding.edited,
            identity=part.identity,
            path=making.path(f"seg{part.name}", variant),
            encoding=variant.encoding,
            compressed=variant.encoding == "labelmap",
        )

    return seg


def _outlines(making: _Making, variant: Variant, part: _Part) -> Callable[[], Written]:
    """How the outlines on one stack are made."""

    def outlines() -> Written:
        named = making.named(Variant(language=variant.language))
        identity = replace(part.identity, report_digest=named.report_digest) if part.key else named
        path = making.path(f"gsps{part.name}", variant)
        return write_gsps(part.stack, part.mask, identity=identity, path=path, words=IN[variant.language])

    return outlines


def _again(
    making: _Making, kind: OutputKind, key: object, variant: Variant, part: _Part
) -> Callable[[], Written] | None:
    """How an object that was made before becomes one of these, byte for byte; None where there is none."""
    before = making.drawings.drawn.objects.get((kind, key))
    if before is None:
        return None

    def copy() -> Written:
        path = making.path(f"{kind.value.lower()}{part.name}", variant)
        path.write_bytes(before.path.read_bytes())
        return replace(before, path=path, variants=())

    return copy


def _pages(
    making: _Making, variant: Variant, mine: Mapping[OutputKind, Sequence[Written]]
) -> Iterator[_Object]:
    """Capture, report and document of one variant; ``mine`` is what it has before each of them."""
    stack, drawings = making.inputs.first, making.drawings

    def capture() -> Written:
        identity, path = making.named(variant.page), making.path("capture", variant)
        return write_capture(stack, drawings.summary(variant), identity=identity, path=path)

    def report() -> Written:
        if variant not in making.reports:
            making.reports.update(_reports(making, variant, mine))
        return making.reports[variant]

    def document() -> Written:
        path, pdf = making.path("report", variant), drawings.document(variant)
        making.path("report", variant, "pdf").write_bytes(pdf)
        identity, (sr,) = making.named(variant.content), mine[OutputKind.SR]
        return write_pdf(stack, pdf, sr=sr, identity=identity, path=path)

    yield OutputKind.SC, variant.page, capture
    yield OutputKind.SR, variant, report
    yield OutputKind.PDF, variant, document


def _reports(
    making: _Making, variant: Variant, mine: Mapping[OutputKind, Sequence[Written]]
) -> dict[Variant, Written]:
    """The report of one content, in each class that is asked for."""
    alike = [each for each in making.variants if each.content == variant.content]
    drawn = _parts(making)
    # The planar form draws on one stack: of several stations on the middle one.
    middle = drawn[len(drawn) // 2] if making.stations and drawn else None
    stack = making.inputs.first if middle is None else middle.stack
    written = write_sr(
        stack,
        making.drawings.shown(variant),
        segs=[
            Segmented(seg=seg, stack=part.stack, volumes_ml=_volumes(making, part))
            for seg, part in zip(mine.get(OutputKind.SEG, ()), drawn, strict=True)
        ],
        others=mine[OutputKind.SC],
        further=_further(making.inputs, stack),
        identity=making.named(variant.content),
        editions=[
            Edition(
                sr_class=each.sr_class, path=making.path("sr", each), predecessor=making.predecessor(each)
            )
            for each in alike
        ],
        form=variant.sr_form,
        mask=making.mask if middle is None else middle.mask,
        words=IN[variant.language],
    )
    return dict(zip(alike, written, strict=True))


def _further(inputs: Inputs, shown: Stack) -> tuple[Stack, ...]:
    """The stacks beside the one that a report draws on."""
    return tuple(stack for _, stack in inputs.stacks if stack is not shown)


def _volumes(making: _Making, part: _Part) -> Mapping[Label, float] | None:
    """What one station's segments hold; None: what the finding says. No station of a block has a volume."""
    series = making.finding.series
    if series is not None and series.block is not None:
        return None if len(making.stations) < 2 else {}
    return next((each.volumes_ml for each in making.stations if (each.number,) == part.key), None)
