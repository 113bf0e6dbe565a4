"""The verb "analyse": from one input set to a finding and its objects, without broker, database or PACS."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

import service
from service import files
from service.core import water_fat
from service.core.blocks import label, of_block
from service.core.change import read_earlier
from service.core.compartment import POSTPROCESSING_VERSION
from service.core.fat import FAT_METHODS_VERSION
from service.core.finding import (
    Definition,
    Finding,
    ModelSection,
    Output,
    PersonSection,
    SeriesSection,
)
from service.core.mask import Mask
from service.core.measure import measure_contents
from service.core.norms import NormTable
from service.core.quality import check_age, check_agent, check_identity
from service.core.risk import Policy
from service.core.scoring import Yardsticks, score_measures
from service.core.series import Person
from service.core.stations import composed_facts
from service.core.variant import Variant
from service.core.volume import Volume
from service.dicom.identity import ObjectIdentity, Written
from service.errors import NotAssessable, NotEligible, Reason, UnreadableSeries
from service.inference.card import Card, read_card
from service.inference.device import device_kind
from service.inference.segmenter import Segmenter
from service.inference.sliding import load_segmenter
from service.pictures.overlay import KeySlice, key_slices
from service.pipeline.drawings import WEB_PANEL_PX, Drawn
from service.pipeline.inputs import (
    Images,
    Inputs,
    block_place,
    disagreements,
    inputs_section,
    nifti_check,
    pair_check,
    read_images,
    why_not_eligible,
)
from service.pipeline.job import Past
from service.pipeline.keepsake import KEPT_NAME
from service.pipeline.kept import Kept, write_kept
from service.pipeline.look import Look, look_at
from service.pipeline.nifti_files import NIFTI_NAMES, write_nifti_files
from service.pipeline.publish import OBJECT_NAMES, PICTURE_NAMES, write_objects
from service.pipeline.references import read_norms, read_policy
from service.pipeline.slicefiles import DRAWING_NAME, IMAGES_NAME
from service.pipeline.slicing import keep_slices
from service.pipeline.stations import COMPOSITION_VERSION, Station, key_slices_of, look_at_stations

log = logging.getLogger(__name__)

FINDING_NAME = "finding.json"
#: Every file that an analysis may write, the finding first.
RESULT_NAMES = (
    *(FINDING_NAME, *OBJECT_NAMES, *NIFTI_NAMES, *PICTURE_NAMES),
    *(KEPT_NAME, IMAGES_NAME, DRAWING_NAME),
)
#: Segmentations and outlines of the second and each further station.
STATION_NAMES = ("seg-*.dcm", "gsps-*.dcm")


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What an analysis needs besides the images; made once for each process."""

    segmenter: Segmenter
    norms: tuple[NormTable, ...]
    policy: Policy
    #: Name of the institution that appears in the objects; may be empty.
    institution: str = ""
    #: How the objects are made (finding.json is one for all); the first is the one that pages show.
    variants: tuple[Variant, ...] = (Variant(),)
    #: Whether a presentation state with the outlines is made too.
    gsps: bool = False
    #: Whether what new scores need is kept beside the objects.
    keep: bool = False
    #: Megabytes that the pictures of all slices may take; 0: none are kept.
    slices_mb: int = 0
    software: str = f"myoscreen {service.__version__}"

    @property
    def card(self) -> Card:
        """The card of the network."""
        return self.segmenter.card

    @property
    def yardsticks(self) -> Yardsticks:
        """What measures of this network are compared with."""
        return Yardsticks(norms=self.norms, policy=self.policy, repeatability=self.card.repeatability)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one analysis: the finding, its objects, and where the time went."""

    finding: Finding
    written: tuple[Written, ...] = ()
    #: Seconds by step: decode, network, measure, objects.
    seconds: dict[str, float] = field(default_factory=dict)


def build_workshop(
    *,
    models_dir: Path,
    model: str,
    norms: tuple[str, ...],
    policy: str,
    providers: tuple[str, ...] = (),
    precision: str = "",
    threads: int = 0,
    institution: str = "",
    variants: tuple[Variant, ...] = (Variant(),),
    gsps: bool = False,
    keep: bool = False,
    slices_mb: int = 0,
) -> Workshop:
    """Load the network, the norms and the policy; raises a ServiceError naming what is wrong."""
    card = read_card(models_dir / Path(model).name)
    return Workshop(
        segmenter=load_segmenter(card, providers=providers, precision=precision, threads=threads),
        norms=read_norms(models_dir, norms),
        policy=read_policy(models_dir, policy),
        institution=institution,
        variants=variants,
        gsps=gsps,
        keep=keep,
        slices_mb=slices_mb,
    )


def analyse_inputs(
    inputs: Inputs, workshop: Workshop, *, at: datetime, out: Path, past: Past | None = None
) -> Result:
    """Analyse one input set and write finding.json and, where there is a result, its objects into ``out``.

    The same images, network, norms and ``at`` give the same bytes. Not eligible and not assessable
    are results; only faults of the installation raise.
    """
    remove_former_result(out)
    clock = _Clock()
    past = past or Past()
    finding = blank_finding(inputs, workshop)
    finding = replace(
        finding, quality=(*finding.quality, *check_identity(disagreements(inputs, past.disagrees)))
    )
    older = past.superseded(finding.as_dict())
    finding = replace(finding, supersedes=older.get(workshop.variants[0].name, older.get("")))
    reasons = why_not_eligible(inputs, workshop.card)
    if reasons:
        return _finish(replace(finding, status="not_eligible", reasons=reasons), (), clock, out)
    images: Images | None = None
    mask: Mask | None = None
    stations: tuple[Station, ...] = ()
    try:
        if len(inputs.stations) > 1:
            whole = look_at_stations(inputs, workshop.segmenter, clock)
            finding, stations = whole.described(finding, workshop.card), whole.stations
            look, facts = whole.look, whole.facts
        else:
            with clock("decode"):
                images = read_images(inputs)
            with clock("network"):
                segmentation = workshop.segmenter.segment(images.shown(workshop.card))
            with clock("measure"):
                facts = inputs.first.facts
                look = look_at(images, segmentation, facts, workshop.card)
                mask = look.mask
        with clock("measure"):
            finding = _measured(finding, look, workshop.card)
            before = [read_earlier(each.finding, days=each.days) for each in past.before]
            finding = score_measures(finding, facts, workshop.yardsticks, before=before)
    except NotEligible as error:
        return _finish(replace(finding, status="not_eligible", reasons=(error.reason,)), (), clock, out)
    except (UnreadableSeries, NotAssessable) as error:
        finding = _withheld(finding, error.reason)
    with clock("objects"):
        volume = images.volume if images is not None else None
        finding, written = write_result(
            inputs,
            finding,
            volume=volume,
            mask=mask,
            stations=stations,
            workshop=workshop,
            mask_digest=_mask_digest(inputs, workshop, at),
            at=at,
            older=older,
            out=out,
        )
        if workshop.slices_mb:
            drawn = finding.status == "measured"
            keep_slices(
                inputs,
                volume=volume,
                mask=mask if drawn else None,
                stations=stations if drawn else (),
                limit_mb=workshop.slices_mb,
                out=out,
            )
    return _finish(finding, written, clock, out)


def write_result(
    inputs: Inputs,
    finding: Finding,
    *,
    volume: Volume | None,
    mask: Mask | None,
    stations: tuple[Station, ...],
    workshop: Workshop,
    mask_digest: str,
    at: datetime,
    older: Mapping[str, str],
    out: Path,
) -> tuple[Finding, tuple[Written, ...]]:
    """The objects of the finding; where no segmentation can be placed, those of the withheld result.

    ``mask_digest`` stands for everything that shapes the mask and the objects that show it.
    """
    if inputs.first.facts.nifti is not None:
        plain = write_nifti_files(inputs, finding, volume=volume, mask=mask, norms=workshop.norms, out=out)
        return finding, plain

    def write(finding: Finding, mask: Mask | None, stations: tuple[Station, ...] = ()) -> tuple[Written, ...]:
        slices = key_slices(volume, mask) if volume is not None else ()
        wide: tuple[KeySlice, ...] = ()
        if stations:
            slices, wide = key_slices_of(stations), key_slices_of(stations, size_px=WEB_PANEL_PX)
        written = write_objects(
            inputs,
            finding,
            volume=volume,
            mask=mask,
            stations=stations,
            identity=report_identity(mask_digest, finding, workshop.norms, at),
            norms=workshop.norms,
            variants=workshop.variants,
            gsps=workshop.gsps,
            older=older,
            drawn=Drawn(key_slices=slices, wide_slices=wide),
            out=out,
        )
        if workshop.keep and finding.status == "measured":
            _keep(inputs, workshop, slices, mask_digest, out)
        return written

    try:
        return finding, write(finding, mask, stations)
    except UnreadableSeries as error:
        withheld = _withheld(finding, error.reason)
        return withheld, write(withheld, None)


def _keep(
    inputs: Inputs, workshop: Workshop, slices: tuple[KeySlice, ...], mask_digest: str, out: Path
) -> None:
    """Keep what new scores and a replay need; without it the result stands all the same."""
    kept = Kept(
        inputs=inputs,
        key_slices=slices,
        mask_digest=mask_digest,
        repeatability=workshop.card.repeatability,
        device=device_kind(workshop.segmenter.provider),
    )
    try:
        write_kept(kept, out)
    except UnreadableSeries as error:
        log.warning("nothing_kept", extra={"code": error.reason.code})


def _withheld(finding: Finding, reason: Reason) -> Finding:
    """The finding without any number, and why."""
    return replace(
        finding,
        status="not_assessable",
        reasons=(reason,),
        measures=None,
        scores=(),
        flags=(),
        quadrant=None,
        change=None,
    )


def _measured(finding: Finding, look: Look, card: Card) -> Finding:
    """The finding with what was counted, or with what speaks against counting."""
    checks = (*finding.quality, *look.checks)
    if look.contents is None:
        return replace(finding, status="not_assessable", reasons=look.failed, quality=checks)
    block = finding.series is not None and finding.series.block is not None
    height = None if finding.person is None else finding.person.height_m
    return replace(
        finding,
        definition=_definition(card, look.method, block=block),
        measures=measure_contents(look.contents, height_m=height, volumes=not block),
        quality=checks,
    )


def _definition(card: Card, method: str | None, *, block: bool) -> Definition:
    definition = Definition(
        id=card.definition_id,
        version=card.definition_version,
        network=f"{card.name}@{card.version}",
        boundary_rule=card.boundary_rule,
        fat_method=method,
    )
    return of_block(definition) if block else definition


def blank_finding(inputs: Inputs, workshop: Workshop) -> Finding:
    """The finding before anything was measured."""
    facts, card = composed_facts([station.first for station in inputs.stations]), workshop.card
    block = block_place(inputs, card)
    return Finding(
        status="measured",
        reasons=(),
        definition=_definition(card, None, block=block is not None),
        series=SeriesSection(
            study_uid=facts.study_uid or None,
            series_uid=facts.series_uid or None,
            inputs=inputs_section(inputs),
            plane=facts.plane,
            contrast=facts.contrast,
            region=facts.region,
            slices=facts.slices,
            coverage_mm=facts.coverage_mm,
            spacing_mm=facts.spacing_mm,
            scanner=facts.scanner or None,
            block=block,
        ),
        person=_person(facts.person),
        measures=None,
        scores=(),
        flags=(),
        quadrant=None,
        quality=(*nifti_check(inputs), *pair_check(inputs), *check_age(facts.person), *check_agent(facts)),
        model=ModelSection(
            name=card.name,
            version=card.version,
            sha256=card.sha256,
            provider=workshop.segmenter.provider,
            precision=workshop.segmenter.precision,
        ),
        norms=workshop.yardsticks.names,
        policy=workshop.policy.reference,
        software=workshop.software,
    )


def _person(person: Person) -> PersonSection:
    """Age, sex and height as the scores use them."""
    return PersonSection(
        age_years=person.age_years,
        age_source=person.age_source,
        sex=person.sex,
        sex_source=person.sex_source,
        height_m=person.height_m,
        height_source=person.height_source,
    )


def _mask_digest(inputs: Inputs, workshop: Workshop, at: datetime) -> str:
    """Digest of everything that shapes the mask and the objects that show it."""
    card = workshop.card
    return _digest(
        [
            *sorted(inputs.first.facts.sop_instance_uids),
            *_fat_key(inputs),
            *_stations_key(inputs),
            repr(asdict(inputs.first.study)),
            card.sha256,
            *_drawing_key(card),
            workshop.segmenter.provider,
            workshop.segmenter.precision,
            f"{card.definition_id}@{card.definition_version}",
            *_block_key(inputs, card),
            POSTPROCESSING_VERSION,
            FAT_METHODS_VERSION,
            workshop.institution,
            workshop.software,
            at.isoformat(),
        ]
    )


def report_identity(
    mask_digest: str, finding: Finding, norms: tuple[NormTable, ...], at: datetime
) -> ObjectIdentity:
    """Digests of everything that shapes the bytes of the objects of a finding."""
    content = json.dumps(finding.as_dict(), sort_keys=True)
    tables = [f"{table.reference}:{table.sha256}" for table in norms]
    series = finding.series
    block = series.block if series is not None else None
    stack = series.inputs[0].stack if series is not None and series.inputs else 0
    return ObjectIdentity(
        mask_digest=mask_digest,
        report_digest=_digest([mask_digest, content, *tables]),
        at=at,
        block="" if block is None else label(block, stack),
        series_offset=0 if block is None else 10 * (stack + 1),
    )


def _block_key(inputs: Inputs, card: Card) -> list[str]:
    """What the objects of a block say of its place."""
    place = block_place(inputs, card)
    return [] if place is None else [label(place, inputs.first.facts.stack)]


def _drawing_key(card: Card) -> list[str]:
    """What of a card, beside its weights, shapes the mask or stands in it."""
    drawing = (card.input, card.output, card.dixon_segment_on, card.fat_methods, card.fat_reference)
    return [f"{card.name}@{card.version}", *(repr(each) for each in drawing)]


def _fat_key(inputs: Inputs) -> list[str]:
    """What the fat image of a Dixon pair adds to what shapes the mask."""
    if inputs.fat is None:
        return []
    return [
        f"{water_fat.METHOD}@{water_fat.METHOD_VERSION}",
        *sorted(inputs.fat.facts.sop_instance_uids),
    ]


def _stations_key(inputs: Inputs) -> list[str]:
    """What further stations add to what shapes the mask."""
    further = [stack for station in inputs.stations[1:] for _, stack in station.stacks]
    if not further:
        return []
    return [COMPOSITION_VERSION, *(uid for stack in further for uid in sorted(stack.facts.sop_instance_uids))]


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8")).hexdigest()


def remove_former_result(out: Path) -> None:
    """Nothing of a former result may lie beside this one; the finding goes first, so none is half old."""
    for name in RESULT_NAMES:
        (out / name).unlink(missing_ok=True)
    for path in (each for name in STATION_NAMES for each in out.glob(name)):
        path.unlink()


def _finish(finding: Finding, written: tuple[Written, ...], clock: "_Clock", out: Path) -> Result:
    """The result, with its finding written."""
    return Result(finding=finish(finding, written, out), written=written, seconds=clock.seconds)


def finish(finding: Finding, written: tuple[Written, ...], out: Path) -> Finding:
    """Write finding.json, which names the objects; last, so that a folder with one is whole."""
    outputs = tuple(
        Output(kind=item.kind.value, sop_instance_uid=item.sop_instance_uid or None, path=item.path.name)
        for item in written
    )
    complete = replace(finding, outputs=outputs)
    write_finding(complete, out)
    return complete


def finding_without_images(
    reasons: tuple[Reason, ...], workshop: Workshop, *, policy: str | None = None
) -> Finding:
    """The finding about content of which nothing could be read as images."""
    return Finding(
        status="not_assessable",
        reasons=reasons,
        definition=None,
        series=None,
        person=None,
        measures=None,
        scores=(),
        flags=(),
        quadrant=None,
        quality=(),
        model=None,
        norms=(),
        policy=policy,
        software=workshop.software,
    )


def write_finding(finding: Finding, out: Path) -> None:
    """Write finding.json in one step; a number that is none would be a fault, not a value."""
    text = json.dumps(finding.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    files.write_atomically(out / FINDING_NAME, (text + "\n").encode("utf-8"))


class _Clock:
    """Adds up the seconds of each named step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Count what happens inside under ``step``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = round(self.seconds.get(step, 0.0) + time.perf_counter() - start, 4)
