"""A phantom series on disk with its true mask, and findings to write results from."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from service.core.finding import (
    Asymmetry,
    Definition,
    Finding,
    Flag,
    Measures,
    ModelSection,
    NormFacts,
    PersonSection,
    ProfilePoint,
    QualityCheck,
    Score,
    SeriesSection,
    SideMeasures,
)
from service.core.mask import Label, Mask
from service.core.variant import SrClass
from service.core.volume import Grid, Volume
from service.dicom.capture import write_capture
from service.dicom.groups import Segmented
from service.dicom.gsps import write_gsps
from service.dicom.identity import ObjectIdentity, Reference, Written
from service.dicom.pdf import write_pdf
from service.dicom.phantom import paraspinal_phantom
from service.dicom.rejection import write_rejection_note, write_withdrawal_sr
from service.dicom.seg import write_seg
from service.dicom.series import Stack, read_volume, scan
from service.dicom.sr import Edition
from service.dicom.sr import write_sr as write_editions
from service.dicom.synthesis import write_phantom
from service.errors import Reason
from service.pictures.content import Banner
from service.pictures.overlay import make_panels
from service.pictures.pages import report_pdf
from service.pictures.summary import summary_image

SHAPE = {"slices": 10, "rows": 96, "columns": 112, "spacing_mm": (3.0, 2.5), "slice_step_mm": 8.0}
AT = datetime(2026, 3, 1, 10, 30, 15, 250000, tzinfo=UTC)
IDENTITY = ObjectIdentity(mask_digest="mask", report_digest="report", at=AT)
MODEL = ModelSection(
    name="paraspinal", version="1.2.0", sha256="0f" * 32, provider="CPUExecutionProvider", precision="fp32"
)
DEFINITION = Definition(
    id="label-share", version="3", network="paraspinal", boundary_rule="fascia", fat_method="network"
)
#: What a score carries of its table; mean and SD are those of a lognormal with this M and S.
NORM_FACTS = NormFacts(
    title="Invented values",
    sha256="ab" * 32,
    citation="Nobody 2026",
    definitions=("label-share@3",),
    networks=("paraspinal@1.2.0",),
    fat_methods=(),
    contrasts=("t2_tse",),
    regions=("lumbar",),
    coverage_mm=None,
    population="none",
    people="Nobody",
    ancestry="no ancestry",
    scanner="no scanner",
    n=200,
    n_of_sex=100,
    sex="F",
    age_range_years=(20.0, 90.0),
    observed_ages_years=(25.0, 80.0),
    height_exponent=None,
    scanner_shift=None,
    adjusted_value=0.21,
    l=0.0,
    m=0.15,
    s=0.25,
    mean=0.154763,
    sd=0.039302,
    interval_holds=("norm_sampling", "measurement"),
)
BANNER = Banner(
    patient_name="Muster^Erika",
    patient_id="PID-7",
    birth_date="19700131",
    sex="F",
    study_date="20260301",
    accession_number="ACC-9",
    series_description="t2_tse_tra",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """One series as it was read, and what is truly in it."""

    stack: Stack
    volume: Volume
    mask: Mask
    files: tuple[Path, ...]


def world(folder: Path) -> World:
    """Write the phantom, scan it, and lay its true labels on the grid that was read."""
    files = write_phantom(folder, **SHAPE)
    return read_world(files)


def read_world(files: list[Path]) -> World:
    """Scan files of the phantom; the labels are in its order, from caudal to cranial."""
    (stack,) = scan(files).stacks
    labels = paraspinal_phantom(**SHAPE).labels
    upwards = stack.grid.normal[2] > 0
    ordered = np.ascontiguousarray(labels if upwards else labels[::-1])
    mask = Mask(labels=ordered, grid=stack.grid, fat_separated=True)
    return World(stack=stack, volume=read_volume(stack), mask=mask, files=tuple(files))


def straight_grid(shape: tuple[int, int, int], **changes: Any) -> Grid:
    """An axial grid: columns run to the patient's left, rows to the back, slices to the head."""
    slices, rows, columns = shape
    usual = Grid(
        origins_mm=np.array([[0.0, 0.0, 5.0 * index] for index in range(slices)]),
        column_direction=np.array([1.0, 0.0, 0.0]),
        row_direction=np.array([0.0, 1.0, 0.0]),
        pixel_spacing_mm=(1.0, 1.0),
        rows=rows,
        columns=columns,
        slice_thickness_mm=5.0,
    )
    return replace(usual, **changes)


def finding(mask: Mask, **changes: Any) -> Finding:
    """A measured finding with the volumes of the mask, one score given and one withheld."""
    measures = measures_of(mask)
    grid = mask.grid
    usual = Finding(
        status="measured",
        reasons=(),
        definition=DEFINITION,
        series=SeriesSection(
            study_uid="1.2.3",
            series_uid="1.2.3.4",
            inputs=(),
            plane="axial",
            contrast="t2_tse",
            region="lumbar",
            slices=grid.shape[0],
            coverage_mm=grid.coverage_mm,
            spacing_mm=(grid.slice_step_mm, *grid.pixel_spacing_mm),
        ),
        person=PersonSection(
            age_years=56.1,
            age_source="PatientBirthDate",
            sex="F",
            sex_source="PatientSex",
            height_m=1.7,
            height_source="PatientSize",
        ),
        measures=measures,
        scores=(
            Score(
                measure="imat_fraction",
                value=measures.total.imat_fraction,
                value_ci95=(0.19, 0.23),
                unit="1",
                state="scored",
                reason=None,
                z=1.416,
                z_ci95=(0.6, 2.2),
                percentile=92.16,
                percentile_ci95=(72.6, 98.6),
                norm="demonstration@1",
                norm_status="demonstration",
                norm_facts=NORM_FACTS,
            ),
            Score(
                measure="lmm_height_index_ml_m2",
                value=measures.lmm_height_index_ml_m2,
                value_ci95=None,
                unit="mL/m2",
                state="no_norm",
                reason="no reference table for this measure",
                z=None,
                z_ci95=None,
                percentile=None,
                percentile_ci95=None,
                norm=None,
                norm_status=None,
            ),
        ),
        flags=(
            Flag(code="imat_high", state="indeterminate", text="flag text that stays inside"),
            Flag(code="lmm_low", state="not_evaluable", text="flag text that stays inside"),
        ),
        quadrant=None,
        quality=(
            QualityCheck(check="coverage", passed=True, detail="80 mm"),
            QualityCheck(check="predicted_dice", passed=True, detail="0.93", predicted_dice=0.93),
        ),
        model=MODEL,
        norms=("demonstration@1 (demonstration)",),
        policy="default@1",
        software="myoscreen 0.1.0",
    )
    return replace(usual, **changes)


def not_assessable(mask: Mask) -> Finding:
    """A finding whose result is withheld."""
    reason = Reason("muscle_cut_off", "The muscles reach the edge of the images.")
    return finding(
        mask,
        status="not_assessable",
        reasons=(reason,),
        measures=None,
        scores=(),
        flags=(),
        quality=(QualityCheck(check="edge", passed=False, detail="4 slices"),),
    )


def unseparated(mask: Mask) -> tuple[Mask, Finding]:
    """The same muscles where the contrast cannot tell fat from lean."""
    labels = mask.labels.copy()
    labels[labels == Label.IMAT_LEFT] = Label.LEAN_LEFT
    labels[labels == Label.IMAT_RIGHT] = Label.LEAN_RIGHT
    whole = Mask(labels=labels, grid=mask.grid, fat_separated=False)
    return whole, finding(whole, measures=measures_of(whole), scores=(), flags=())


def volumes_ml(mask: Mask) -> dict[Label, float]:
    """The volume of each label, slice by slice."""
    slice_ml = mask.grid.pixel_area_mm2 * mask.grid.slice_extents_mm / 1000.0
    return {label: float(((mask.labels == label).sum(axis=(1, 2)) * slice_ml).sum()) for label in Label}


def measures_of(mask: Mask) -> Measures:
    """Volumes by counting; nothing of the service's own arithmetic."""
    volumes = volumes_ml(mask)
    left = _side(volumes[Label.LEAN_LEFT], volumes[Label.IMAT_LEFT], mask)
    right = _side(volumes[Label.LEAN_RIGHT], volumes[Label.IMAT_RIGHT], mask)
    total = _side(
        volumes[Label.LEAN_LEFT] + volumes[Label.LEAN_RIGHT],
        volumes[Label.IMAT_LEFT] + volumes[Label.IMAT_RIGHT],
        mask,
    )
    return Measures(
        left=left,
        right=right,
        total=total,
        asymmetry=Asymmetry(
            compartment_ml=(left.compartment_ml - right.compartment_ml) / total.compartment_ml,
            imat_fraction=0.16 if mask.fat_separated else None,
        ),
        lmm_height_index_ml_m2=total.lmm_ml / 1.7**2 if total.lmm_ml is not None else None,
        profile=_profile(mask),
    )


def _side(lean_ml: float, fat_ml: float, mask: Mask) -> SideMeasures:
    """One side."""
    compartment = lean_ml + fat_ml
    length_cm = mask.grid.coverage_mm / 10.0
    split = mask.fat_separated
    return SideMeasures(
        compartment_ml=compartment,
        lmm_ml=lean_ml if split else None,
        imat_ml=fat_ml if split else None,
        imat_fraction=fat_ml / compartment if split and compartment else None,
        mean_csa_cm2=compartment / length_cm,
        mean_lean_csa_cm2=lean_ml / length_cm if split else None,
        fat_signal_fraction=None,
    )


def _profile(mask: Mask) -> tuple[ProfilePoint, ...]:
    """Areas of each slice."""
    pixel_cm2 = mask.grid.pixel_area_mm2 / 100.0
    areas = {label: (mask.labels == label).sum(axis=(1, 2)) * pixel_cm2 for label in Label}
    return tuple(
        ProfilePoint(
            position_mm=float(offset),
            left_lean_cm2=float(areas[Label.LEAN_LEFT][index]),
            left_fat_cm2=float(areas[Label.IMAT_LEFT][index]) if mask.fat_separated else None,
            right_lean_cm2=float(areas[Label.LEAN_RIGHT][index]),
            right_fat_cm2=float(areas[Label.IMAT_RIGHT][index]) if mask.fat_separated else None,
        )
        for index, offset in enumerate(mask.grid.offsets_mm)
    )


def write_sr(
    stack: Stack,
    told: Finding,
    *,
    path: Path,
    sr_class: SrClass = "comprehensive3d",
    predecessor: Reference | None = None,
    **how: Any,
) -> Written:
    """A report in one class."""
    edition = Edition(sr_class=sr_class, path=path, predecessor=predecessor)
    (written,) = write_editions(stack, told, editions=[edition], **how)
    return written


@dataclass(frozen=True, kw_only=True)
class Objects:
    """Every kind of object of one finding, and what takes it back."""

    seg: Written
    label_map: Written
    sr: Written
    planar: Written
    capture: Written
    pdf: Written
    outlines: Written
    note: Written
    withdrawal: Written

    @property
    def all(self) -> tuple[Written, ...]:
        """In the order in which they are made."""
        return (*self.results, self.label_map, self.planar, self.outlines, self.note, self.withdrawal)

    @property
    def results(self) -> tuple[Written, ...]:
        """The set that a peer gets without further wishes."""
        return (self.seg, self.capture, self.sr, self.pdf)

    @property
    def known_to_dciodvfy(self) -> tuple[Written, ...]:
        """All but the label map, whose class is younger than the validator."""
        return tuple(each for each in self.all if each is not self.label_map)


def write_objects(made: World, out: Path, identity: ObjectIdentity = IDENTITY) -> Objects:
    """Write all objects of the measured finding, and of its withdrawal."""

    out.mkdir(parents=True, exist_ok=True)
    told = finding(made.mask)
    panels = make_panels(made.volume, made.mask)

    def draw(name: str, **how: Any) -> Written:
        given = {"model": MODEL, "definition": DEFINITION, "identity": identity}
        return write_seg(made.stack, made.mask, **given, path=out / name, **how)

    seg = draw("seg.dcm")
    capture = write_capture(
        made.stack, summary_image(told, BANNER, panels), identity=identity, path=out / "capture.dcm"
    )

    def report(name: str, **how: Any) -> Written:
        given = {"segs": [Segmented(seg=seg, stack=made.stack)], "others": [capture], "identity": identity}
        return write_sr(made.stack, told, **given, path=out / name, **how)

    sr = report("sr.dcm")
    page = report_pdf(told, BANNER, panels)
    pdf = write_pdf(made.stack, page, sr=sr, identity=identity, path=out / "report.dcm")
    gone = [each.path for each in (seg, sr, capture, pdf)]
    return Objects(
        seg=seg,
        label_map=draw("label_map.dcm", encoding="labelmap", compressed=True),
        sr=sr,
        planar=report("planar.dcm", form="planar", mask=made.mask),
        capture=capture,
        pdf=pdf,
        outlines=write_gsps(made.stack, made.mask, identity=identity, path=out / "gsps.dcm"),
        note=write_rejection_note(gone, reason="wrong_drawing", identity=identity, path=out / "note.dcm"),
        withdrawal=write_withdrawal_sr(
            sr.path,
            reason="wrong_drawing",
            software="myoscreen 0.1.0",
            identity=identity,
            path=out / "withdrawal.dcm",
        ),
    )
