"""Small values of the core, each with only what a test wants to say of it."""

from dataclasses import replace
from typing import Any

import numpy as np

from service.core.eligibility import IntendedUse
from service.core.finding import Definition, Score
from service.core.mask import Mask
from service.core.norms import Knot, NormTable, ReferencePeople
from service.core.series import Person, StackFacts
from service.core.volume import Grid

DEFINITION = Definition(
    id="paraspinal-two-class",
    version="1",
    network="n@1",
    boundary_rule="rule",
    fat_method="fat_reference_bright",
)


def facts(**changes: Any) -> StackFacts:
    """An axial T2 stack of the lumbar spine of a man of 45, with changes."""
    usual = StackFacts(
        study_uid="1.2.1",
        series_uid="1.2.1.1",
        stack=0,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        sop_instance_uids=tuple(f"1.2.1.1.{i}" for i in range(20)),
        modality="MR",
        image_type=("ORIGINAL", "PRIMARY", "M"),
        description="t2_tse_tra",
        plane="axial",
        tilt_degrees=3.0,
        contrast="t2_tse",
        contrast_evidence="EchoTime=98",
        region="lumbar",
        region_evidence="BodyPartExamined=LSPINE",
        slices=20,
        coverage_mm=80.0,
        spacing_mm=(4.0, 1.0, 1.0),
        largest_gap_ratio=1.0,
        frame_of_reference_uid="1.2.9",
        lossy=False,
        derived=False,
        localizer=False,
        person=Person(age_years=45.0, sex="M", height_m=1.8),
        phantom=False,
    )
    return replace(usual, **changes)


def use(**changes: Any) -> IntendedUse:
    """An intended use that the usual facts fit."""
    usual = IntendedUse(
        modality=("MR",),
        planes=("axial",),
        max_tilt_degrees=30.0,
        contrasts=("t2_tse", "t1"),
        regions=("lumbar",),
        min_slices=5,
        min_age=18.0,
        exclusions=("implants",),
    )
    return replace(usual, **changes)


def grid(
    *,
    offsets: tuple[float, ...] = (0.0, 10.0),
    rows: int = 4,
    columns: int = 4,
    spacing: tuple[float, float] = (10.0, 10.0),
    column_direction: tuple[float, float, float] = (1.0, 0.0, 0.0),
    row_direction: tuple[float, float, float] = (0.0, 1.0, 0.0),
    thickness: float | None = None,
) -> Grid:
    """An axial grid whose slices stand at ``offsets`` along z."""
    return Grid(
        origins_mm=np.array([(0.0, 0.0, z) for z in offsets]).reshape(-1, 3),
        column_direction=np.array(column_direction),
        row_direction=np.array(row_direction),
        pixel_spacing_mm=spacing,
        rows=rows,
        columns=columns,
        slice_thickness_mm=thickness,
    )


def mask(labels: Any, *, fat_separated: bool = True, **grid_changes: Any) -> Mask:
    """A mask of the given labels on a grid of their shape."""
    array = np.asarray(labels, dtype=np.uint8)
    grid_changes.setdefault("offsets", tuple(10.0 * k for k in range(array.shape[0])))
    return Mask(
        labels=array,
        grid=grid(rows=array.shape[1], columns=array.shape[2], **grid_changes),
        fat_separated=fat_separated,
    )


#: Two hundred healthy people of 20 to 60.
PEOPLE = ReferencePeople(
    kind="healthy",
    text="people",
    ancestry="mixed",
    scanner="one",
    n=200,
    n_by_sex={"M": 100, "F": 100},
    age_years=(20.0, 60.0),
)


def norm(**changes: Any) -> NormTable:
    """A table that fits the usual facts: median 0.2, log-normal with S 0.5, ages 20 to 60."""
    knots = (Knot(age_years=20, l=0, m=0.2, s=0.5), Knot(age_years=60, l=0, m=0.2, s=0.5))
    usual = NormTable(
        id="table",
        version="1",
        title="A table",
        status="provisional",
        measure="imat_fraction",
        unit="1",
        definitions=("paraspinal-two-class@1",),
        contrasts=("t2_tse",),
        regions=("lumbar",),
        networks=("n@1",),
        coverage_mm=(60.0, 120.0),
        phantom_only=False,
        people=PEOPLE,
        citation="a paper",
        sha256="0" * 64,
        effective_n=100,
        measurement_icc=None,
        knots={"M": knots, "F": knots},
    )
    return replace(usual, **changes)


def scored(measure: str, z: float | None, half: float = 0.3) -> Score:
    """A score with the given z and half width, or a withheld one."""
    return Score(
        measure=measure,
        value=1.0,
        value_ci95=None,
        unit="1",
        state="scored" if z is not None else "no_norm",
        reason=None if z is not None else "No table.",
        z=z,
        z_ci95=None if z is None else (z - half, z + half),
        percentile=None,
        percentile_ci95=None,
        norm="table@1",
        norm_status="provisional",
    )
