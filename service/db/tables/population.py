"""What the population page is made of."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.tables.base import Base, BigId


class PopulationFamily(Base):
    """What results have in common that are drawn together; nothing of it is of a person."""

    __tablename__ = "population_families"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: Of the measures, as "id@version".
    definition: Mapped[str] = mapped_column(String(128))
    network: Mapped[str] = mapped_column(String(128))
    boundary_rule: Mapped[str] = mapped_column(String(64))
    #: Empty for none.
    fat_method: Mapped[str] = mapped_column(String(64), default="", server_default="")
    contrast: Mapped[str] = mapped_column(String(16))
    region: Mapped[str] = mapped_column(String(16))
    #: Lower edge of a band of ``service.core.extract.COVERAGE_BAND_MM``.
    coverage_from_mm: Mapped[int]

    __table_args__ = (
        UniqueConstraint(
            "definition",
            "network",
            "boundary_rule",
            "fat_method",
            "contrast",
            "region",
            "coverage_from_mm",
        ),
    )


class PopulationRow(Base):
    """What the population page needs of one measured result; whether it counts says the analysis itself."""

    __tablename__ = "population"

    analysis_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("analyses.id"), primary_key=True, autoincrement=False
    )
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    #: None where the finding does not say what was measured, or of whom: it is drawn nowhere.
    family_id: Mapped[int | None] = mapped_column(ForeignKey("population_families.id"))
    #: The same number is the same person (``service.core.extract.person_number``).
    person: Mapped[int | None] = mapped_column(BigInteger)
    #: Day, sex, age, measures, scores and flags, as ``service.core.extract.pack`` writes them.
    numbers: Mapped[str] = mapped_column(String(128), default="", server_default="")
    #: The tables that the two scores are by, with a blank between.
    norms: Mapped[str] = mapped_column(String(256), default="", server_default="")
    #: Maker, model, field strength and station.
    scanner: Mapped[str] = mapped_column(String(128), default="", server_default="")
    protocol: Mapped[str] = mapped_column(String(64), default="", server_default="")
    #: AE title of the sender.
    site: Mapped[str] = mapped_column(String(16), default="", server_default="")
    #: The patient opted out.
    opted_out: Mapped[bool] = mapped_column(default=False, server_default=false())

    # All that counting people asks of a row.
    __table_args__ = (
        Index("ix_population_people", "family_id", "person", "opted_out", "study_id", "analysis_id"),
        # Groups one after the other, so that nothing is sorted.
        Index("ix_population_groups", "family_id", "scanner", "protocol", "site", "norms"),
    )


class DriftLook(Base):
    """The last judgement whether measured values drift; there is one row."""

    __tablename__ = "drift_looks"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    #: How many groups left their limits, by measure and dimension, as "imat scanner".
    alarms: Mapped[dict[str, Any] | None]
