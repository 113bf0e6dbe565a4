"""The verb "analyse": from one input set to a finding and its objects, without broker, database or PACS."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import service
from service import files
from service.core import prepare, water_fat
from service.core.change import Spread, compare, read_earlier
from service.core.compartment import POSTPROCESSING_VERSION, clean_compartment
from service.core.fat import FAT_METHODS_VERSION, fat_of_stack
from service.core.finding import (
    Change,
    Definition,
    Finding,
    Measures,
    ModelSection,
    Output,
    PersonSection,
    QualityCheck,
    SeriesSection,
)
from service.core.mask import Mask, two_class_mask
from service.core.measure import measure_muscles
from service.core.norms import NormTable, Repeatability, Scorable, score
from service.core.predictor import Outlook, gather
from service.core.quality import check_age, check_compartment
from service.core.risk import Policy, quadrant, raise_flags
from service.core.series import Contrast, Person, StackFacts
from service.core.variant import Variant
from service.core.volume import Grid, Volume
from service.core.water_fat import check_water_and_fat, is_fat
from service.dicom.identity import ObjectIdentity, Written
from service.errors import NotAssessable, NotEligible, Reason, UnreadableSeries
from service.inference.card import Card, read_card
from service.inference.segmenter import Segmentation, Segmenter
from service.inference.sliding import load_segmenter
from service.pipeline.inputs import Images, Inputs, inputs_section, pair_check, read_images, why_not_eligible
from service.pipeline.job import JobBefore, Past
from service.pipeline.publish import OBJECT_NAMES, PICTURE_NAMES, write_objects
from service.pipeline.references import read_norms, read_policy

log = logging.getLogger(__name__)

FINDING_NAME = "finding.json"
#: Every file that an analysis may write, the finding first.
RESULT_NAMES = (FINDING_NAME, *OBJECT_NAMES, *PICTURE_NAMES)


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
    software: str = f"myoscreen {service.__version__}"

    @property
    def card(self) -> Card:
        """The card of the network."""
        return self.segmenter.card


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
    older = past.superseded(finding.as_dict())
    finding = replace(finding, supersedes=older.get(workshop.variants[0].name, older.get("")))
    reasons = why_not_eligible(inputs, workshop.card)
    if reasons:
        return _finish(replace(finding, status="not_eligible", reasons=reasons), (), clock, out)
    images: Images | None = None
    mask: Mask | None = None
    try:
        with clock("decode"):
            images = read_images(inputs)
        with clock("network"):
            segmentation = workshop.segmenter.segment(images.shown(workshop.card))
        with clock("measure"):
            finding, mask = _measure(finding, inputs.first.facts, images, segmentation, workshop)
            finding = replace(finding, change=_change(finding, past.before, workshop.card))
    except NotEligible as error:
        return _finish(replace(finding, status="not_eligible", reasons=(error.reason,)), (), clock, out)
    except (UnreadableSeries, NotAssessable) as error:
        finding = _withheld(finding, error.reason)
    with clock("objects"):
        volume = images.volume if images is not None else None
        finding, written = _write(
            inputs, finding, volume=volume, mask=mask, workshop=workshop, at=at, older=older, out=out
        )
    return _finish(finding, written, clock, out)


def _write(
    inputs: Inputs,
    finding: Finding,
    *,
    volume: Volume | None,
    mask: Mask | None,
    workshop: Workshop,
    at: datetime,
    older: Mapping[str, str],
    out: Path,
) -> tuple[Finding, tuple[Written, ...]]:
    """The objects of the finding; where no segmentation can be placed, those of the withheld result."""

    def write(finding: Finding, mask: Mask | None) -> tuple[Written, ...]:
        return write_objects(
            inputs,
            finding,
            volume=volume,
            mask=mask,
            identity=_identity(inputs, finding, workshop, at),
            norms=workshop.norms,
            variants=workshop.variants,
            gsps=workshop.gsps,
            older=older,
            out=out,
        )

    try:
        return finding, write(finding, mask)
    except UnreadableSeries as error:
        withheld = _withheld(finding, error.reason)
        return withheld, write(withheld, None)


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


def _measure(
    finding: Finding, facts: StackFacts, images: Images, segmentation: Segmentation, workshop: Workshop
) -> tuple[Finding, Mask | None]:
    """Clean, check, separate fat, measure, score and flag."""
    compartment = clean_compartment(segmentation.compartment)
    mirrored = segmentation.mirrored
    grid, outlook = images.volume.grid, _outlook(images, segmentation, compartment, workshop.card)
    found = (
        *check_compartment(compartment, grid, segmentation.plain, mirrored, outlook),
        *_check_dixon(images, compartment, workshop.card),
    )
    checks = (*finding.quality, *found)
    failed = tuple(Reason(check.check, check.detail) for check in found if not check.passed)
    if failed:
        return replace(finding, status="not_assessable", reasons=failed, quality=checks), None
    mask, method, fat_check = _separate(images, compartment, facts, workshop.card)
    measures = measure_muscles(mask, height_m=facts.person.height_m, dixon=images.dixon)
    definition = _definition(workshop.card, method)
    scores = tuple(
        score(scorable, facts=facts, definition=by, tables=workshop.norms)
        for scorable, by in _scorables(measures, facts, definition, workshop.card)
    )
    measured = replace(
        finding,
        definition=definition,
        measures=measures,
        scores=scores,
        flags=raise_flags(scores, workshop.policy, sex=facts.person.sex),
        quadrant=quadrant(scores, workshop.policy),
        quality=(*checks, fat_check),
    )
    return measured, mask


def _outlook(
    images: Images, segmentation: Segmentation, compartment: NDArray[np.uint8], card: Card
) -> Outlook | None:
    """What the predictor in the card expects of the drawing; None without one."""
    if card.predictor is None or segmentation.certainty is None:
        return None
    evidence = gather(
        segmentation.certainty,
        segmentation.compartment,
        compartment,
        images.volume.grid,
        card.predictor.shape,
    )
    return card.predictor.outlook(evidence)


def _repeats(card: Card, definition: Definition, contrast: Contrast) -> Repeatability | None:
    """The spread of repeated measurements; the card's is of one contrast alone, so a Dixon pair has none."""
    return None if definition.fat_method == water_fat.METHOD else card.repeatability.get(contrast)


def _scorables(
    measures: Measures, facts: StackFacts, definition: Definition, card: Card
) -> Iterator[tuple[Scorable, Definition]]:
    """The measures that are compared with norms, and the definition that a norm must be of.

    The signal fat fraction is among them where a Dixon pair gave it.
    """
    repeats = _repeats(card, definition, facts.contrast)
    share = Scorable(
        measure="imat_fraction",
        value=measures.total.imat_fraction,
        unit="1",
        repeat_sd=repeats.imat_fraction_sd if repeats else None,
    )
    yield share, definition
    lean = measures.lmm_height_index_ml_m2
    index = Scorable(
        measure="lmm_height_index_ml_m2",
        value=lean,
        unit="mL/m2",
        missing=None if facts.person.height_m else "PatientSize (height) is missing.",
        repeat_sd=repeats.lmm_cv * lean if repeats and lean is not None else None,
    )
    yield index, definition
    signal = measures.total.fat_signal_fraction
    if signal is not None:
        name, version = water_fat.SIGNAL_DEFINITION
        by = replace(definition, id=name, version=version)
        yield Scorable(measure="fat_signal_fraction", value=signal, unit="1"), by


def _check_dixon(images: Images, compartment: NDArray[np.uint8], card: Card) -> tuple[QualityCheck, ...]:
    """Whether water is water and fat is fat, where there is a pair."""
    if images.dixon is None:
        return ()
    turn = prepare.canonical_turn(images.volume.grid, *card.input.orientation)
    fraction, total = (
        np.ascontiguousarray(turn.turn(values), dtype=np.float32)
        for values in (images.dixon.fraction, images.dixon.in_phase.values)
    )
    sides = np.ascontiguousarray(turn.turn(compartment), dtype=np.uint8)
    spacing, band = turn.pixel_spacing_mm(images.volume.grid), card.fat_reference.band_mm
    return (check_water_and_fat(fraction, total, sides, spacing, band),)


def _separate(
    images: Images, compartment: NDArray[np.uint8], facts: StackFacts, card: Card
) -> tuple[Mask, str | None, QualityCheck]:
    """The mask, the fat method that made it (None: the contrast cannot tell) and how that went."""
    grid = images.volume.grid
    method: str | None
    if images.dixon is not None:
        method, fat = water_fat.METHOD, is_fat(images.dixon, compartment)
    else:
        method = card.fat_methods.get(facts.contrast)
        if method is None:
            detail = (
                f"On {facts.contrast} images fat and muscle cannot be told apart; IMAT and LMM are withheld."
            )
            return _without_fat(compartment, grid, detail)
        try:
            fat = fat_of_stack(
                images.volume, compartment > 0, card.input.orientation, method, card.fat_reference
            )
        except NotAssessable as error:
            return _without_fat(compartment, grid, error.reason.text)
    check = QualityCheck(check="fat_separated", passed=True, detail=f"Method {method}.")
    return two_class_mask(compartment, fat, grid), method, check


def _without_fat(compartment: NDArray[np.uint8], grid: Grid, detail: str) -> tuple[Mask, None, QualityCheck]:
    """The mask of the compartment alone, and why."""
    check = QualityCheck(check="fat_separated", passed=False, detail=detail)
    return two_class_mask(compartment, None, grid), None, check


def _definition(card: Card, method: str | None) -> Definition:
    return Definition(
        id=card.definition_id,
        version=card.definition_version,
        network=f"{card.name}@{card.version}",
        boundary_rule=card.boundary_rule,
        fat_method=method,
    )


def _change(finding: Finding, before: Sequence[JobBefore], card: Card) -> Change | None:
    """The newest earlier finding of the person that is like this one, beside it."""
    if finding.definition is None or finding.series is None:
        return None
    spread = None
    repeats = _repeats(card, finding.definition, finding.series.contrast)
    if repeats is not None:
        spread = Spread(sd={"imat_fraction": repeats.imat_fraction_sd}, cv={"lmm_ml": repeats.lmm_cv})
    earlier = (read_earlier(each.finding, days=each.days) for each in before)
    return next((change for each in earlier if (change := compare(finding, each, spread))), None)


def blank_finding(inputs: Inputs, workshop: Workshop) -> Finding:
    """The finding before anything was measured."""
    facts, card = inputs.first.facts, workshop.card
    return Finding(
        status="measured",
        reasons=(),
        definition=_definition(card, None),
        series=SeriesSection(
            study_uid=facts.study_uid,
            series_uid=facts.series_uid,
            inputs=inputs_section(inputs),
            plane=facts.plane,
            contrast=facts.contrast,
            region=facts.region,
            slices=facts.slices,
            coverage_mm=facts.coverage_mm,
            spacing_mm=facts.spacing_mm,
            scanner=facts.scanner or None,
        ),
        person=_person(facts.person),
        measures=None,
        scores=(),
        flags=(),
        quadrant=None,
        quality=(*pair_check(inputs), *check_age(facts.person)),
        model=ModelSection(
            name=card.name,
            version=card.version,
            sha256=card.sha256,
            provider=workshop.segmenter.provider,
            precision=workshop.segmenter.precision,
        ),
        norms=tuple(f"{table.reference} ({table.status})" for table in workshop.norms),
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


def _identity(inputs: Inputs, finding: Finding, workshop: Workshop, at: datetime) -> ObjectIdentity:
    """Digests of everything that shapes the bytes of the objects."""
    card = workshop.card
    mask_key = [
        *sorted(inputs.first.facts.sop_instance_uids),
        *_fat_key(inputs),
        repr(asdict(inputs.first.study)),
        card.sha256,
        *_drawing_key(card),
        workshop.segmenter.provider,
        workshop.segmenter.precision,
        f"{card.definition_id}@{card.definition_version}",
        POSTPROCESSING_VERSION,
        FAT_METHODS_VERSION,
        workshop.institution,
        workshop.software,
        at.isoformat(),
    ]
    mask_digest = _digest(mask_key)
    content = json.dumps(finding.as_dict(), sort_keys=True)
    tables = [f"{table.reference}:{table.sha256}" for table in workshop.norms]
    return ObjectIdentity(
        mask_digest=mask_digest, report_digest=_digest([mask_digest, content, *tables]), at=at
    )


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


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8")).hexdigest()


def remove_former_result(out: Path) -> None:
    """Nothing of a former result may lie beside this one; the finding goes first, so none is half old."""
    for name in RESULT_NAMES:
        (out / name).unlink(missing_ok=True)


def _finish(finding: Finding, written: tuple[Written, ...], clock: "_Clock", out: Path) -> Result:
    """Write finding.json last, so that a folder with one is whole."""
    outputs = tuple(
        Output(kind=item.kind.value, sop_instance_uid=item.sop_instance_uid, path=item.path.name)
        for item in written
    )
    complete = replace(finding, outputs=outputs)
    write_finding(complete, out)
    return Result(finding=complete, written=written, seconds=clock.seconds)


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
