"""Measures of the ledger as reference people of a table: current results, nothing that names anybody."""

from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from service.core.blocks import SUFFIX
from service.core.normfit_cohort import ReferencePerson, quality_passed
from service.core.status import AnalysisState
from service.db import selftests
from service.db.tables import Analysis, Study

#: Where the measures stand in a finding.
_PLACES: Final = {
    "imat_fraction": ("measures", "total", "imat_fraction"),
    "fat_signal_fraction": ("measures", "total", "fat_signal_fraction"),
    "lmm_height_index_ml_m2": ("measures", "lmm_height_index_ml_m2"),
}


def reference_people(
    session: Session, measure: str, *, definition: str | None, without: Collection[int]
) -> Iterator[ReferencePerson]:
    """Each current measured result; ``definition`` is the measure's own where it is not that of the mask.

    The patient id tells people apart while they are counted and goes no further. The findings
    stay in the database: only the few values are taken out of them, by the database. ``without`` are studies
    that are left out, as those of patients on the opt-out list.
    """
    for row in session.execute(_statement(measure)).mappings():
        if row["study_id"] in without:
            continue
        mask = f"{row['definition_id']}@{row['definition_version']}"
        yield ReferencePerson(
            key=row["patient_id"].strip() or None,
            # Of two results of one day the later analysis counts.
            day=row["study_date"].strip(),
            age_years=row["age_years"],
            sex=row["sex"],
            value=row["value"],
            height_m=row["height_m"],
            scanner=row["scanner"],
            definition=definition or mask,
            network=row["network"],
            fat_method=row["fat_method"],
            contrast=row["contrast"],
            region=row["region"],
            coverage_mm=row["coverage_mm"],
            quality_passed=quality_passed(row["quality"] or ()),
        )


def _statement(measure: str) -> Select[Any]:
    finding = Analysis.finding
    return (
        select(
            Study.id.label("study_id"),
            Study.patient_id,
            Study.study_date,
            finding[_PLACES[measure]].as_float().label("value"),
            finding[("person", "age_years")].as_float().label("age_years"),
            finding[("person", "sex")].as_string().label("sex"),
            finding[("person", "height_m")].as_float().label("height_m"),
            finding[("series", "scanner")].as_string().label("scanner"),
            finding[("series", "contrast")].as_string().label("contrast"),
            finding[("series", "region")].as_string().label("region"),
            finding[("series", "coverage_mm")].as_float().label("coverage_mm"),
            finding[("definition", "id")].as_string().label("definition_id"),
            finding[("definition", "version")].as_string().label("definition_version"),
            finding[("definition", "network")].as_string().label("network"),
            finding[("definition", "fat_method")].as_string().label("fat_method"),
            finding["quality"].label("quality"),
        )
        .join(Study, Study.id == Analysis.study_id)
        .where(
            Analysis.state == AnalysisState.MEASURED,
            Analysis.withdrawn_at.is_(None),
            selftests.is_none(Analysis.study_id),
            # A table is of what the network draws; some people correct more than others.
            Analysis.edit_id.is_(None),
            # A block lies at a level that is not known, so its share is no measure of a stretch.
            func.coalesce(finding[("definition", "id")].as_string(), "").not_like(f"%{SUFFIX}"),
        )
        .order_by(Analysis.id)
    )
