"""The shapes of the population: nothing of one person, and no number of fewer than five people."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.core.drift import DIMENSIONS, Measure, State
from service.core.finding import Quadrant
from service.web.schemas import RESEARCH_USE, Shape

#: By what drift is told apart; a test holds it to ``DIMENSIONS``.
By = Literal["scanner", "protocol", "site"]
assert By.__args__ == DIMENSIONS, "the names of the interface are those of the core"  # type: ignore[attr-defined]

ROUNDED = "Rounded to 5; null with fewer than 5 people, or where the rest would tell so few."


class FamilyShape(Shape):
    """What results have in common that are drawn together."""

    id: int
    definition: str
    network: str
    boundary_rule: str
    fat_method: str
    contrast: str
    region: str
    coverage_mm: tuple[int, int] = Field(description="From, and below.")
    people: int = Field(description="Rounded to 5.")


class CellShape(Shape):
    """A square of the plane of scores, by its lower corner."""

    imat_z: float
    lmm_z: float
    people: int = Field(description="Rounded to 5.")


class PlaneShape(Shape):
    """People in the plane of z(LMM) and z(IMAT); a cell that is not named has fewer than 5, or hides one."""

    norms: str = Field(description="The two tables that scored them.")
    cell_z: float = Field(description="How wide a cell is; outermost cells hold what lies farther out.")
    people: int | None = Field(description=ROUNDED)
    cells: list[CellShape]
    quadrants: dict[Quadrant, int | None] = Field(description=ROUNDED)


class AgeBandShape(Shape):
    """A measure of one sex in ten years of age; null with fewer than 5 people on a side of the value."""

    sex: str
    from_years: int
    people: int | None = Field(description=ROUNDED)
    p25: float | None
    p50: float | None
    p75: float | None


class CurveShape(Shape):
    """The centiles of one sex."""

    sex: str
    ages_years: list[float]
    values: list[list[float]] = Field(description="5th, 25th, 50th, 75th and 95th centile, at each age.")


class ReferenceShape(Shape):
    """A reference table that applies to the family."""

    norm: str
    status: str
    title: str
    curves: list[CurveShape]


class MisfitShape(Shape):
    """A table in force that is not drawn."""

    norm: str
    code: str


class AgesShape(Shape):
    """A measure over age."""

    measure: str
    unit: str
    bands: list[AgeBandShape]
    reference: ReferenceShape | None
    misfits: list[MisfitShape]


class FlagMonthShape(Shape):
    """How many people of a month had a flag raised."""

    month: int = Field(description="As 202611.")
    people: int | None = Field(description=ROUNDED)
    rate: float | None = Field(
        description="Of the rounded numbers, in whole per cent; null with fewer than 5 people on a side."
    )


class PointShape(Shape):
    """One month: the median over what is expected by age and sex, as a ratio, and its control limits."""

    month: int = Field(description="As 202611.")
    people: int | None = Field(description=ROUNDED)
    ratio: float
    low: float | None
    high: float | None
    state: State


class ChartShape(Shape):
    """The months of one group of results."""

    measure: Measure
    dimension: str
    name: str = Field(description="Scanner, protocol or site; empty for all results.")
    centre: float | None = Field(description="Of the baseline, over what is expected; null: no baseline yet.")
    points: list[PointShape]
    alarms: list[int] = Field(description="This month or the last, where the median left its limits.")


class PopulationReport(Shape):
    """Many results beside each other; counted by person, with nothing of fewer than five people."""

    notice: str = RESEARCH_USE
    at: datetime
    fewest_people: int
    families: list[FamilyShape] = Field(description="Those of the most people first.")
    family: FamilyShape | None = Field(description="What the rest is about; null where there is nothing.")
    plane: PlaneShape | None
    ages: list[AgesShape]
    flag_rates: list[FlagMonthShape]
    flag_rate: float | None
    by: By
    drift: list[ChartShape] = Field(description="Of all results, then of each scanner, protocol or site.")
