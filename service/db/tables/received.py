"""What came in: studies, series, images, and images under an identifier that was there."""

from datetime import datetime
from typing import Final

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.tables.base import Base, BigId

#: The audit record names these rows by their numbers, and outlives them. SQLite would give the number of
#: the newest row anew once it is deleted; PostgreSQL never does.
NEVER_AGAIN: Final = {"sqlite_autoincrement": True}


class Study(Base):
    """One study, and who it is of (as the first image said; shown on the dashboard only)."""

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64), unique=True)
    patient_id: Mapped[str] = mapped_column(String(256), default="", index=True)
    #: Who gave the patient ID; empty where the images do not say.
    issuer_of_patient_id: Mapped[str] = mapped_column(String(64), default="", server_default="")
    patient_name: Mapped[str] = mapped_column(String(512), default="")
    birth_date: Mapped[str] = mapped_column(String(16), default="")
    sex: Mapped[str] = mapped_column(String(16), default="")
    accession_number: Mapped[str] = mapped_column(String(64), default="")
    study_date: Mapped[str] = mapped_column(String(16), default="")
    description: Mapped[str] = mapped_column(String(256), default="")
    created_at: Mapped[datetime]
    series: Mapped[list["Series"]] = relationship(back_populates="study")

    __table_args__ = NEVER_AGAIN


class Series(Base):
    """One received series."""

    __tablename__ = "series"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    series_uid: Mapped[str] = mapped_column(String(64), unique=True)
    #: A ``service.core.status.SeriesState``.
    state: Mapped[str] = mapped_column(String(16), index=True)
    modality: Mapped[str] = mapped_column(String(16), default="")
    description: Mapped[str] = mapped_column(String(256), default="")
    #: AE title of the first sender.
    calling_ae: Mapped[str] = mapped_column(String(16), default="")
    #: A ``service.core.status.CompletionReason`` once closed.
    completion_reason: Mapped[str | None] = mapped_column(String(16))
    first_at: Mapped[datetime] = mapped_column(index=True)
    last_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    #: When its images were taken away after the time they are kept.
    pixels_purged_at: Mapped[datetime | None]
    #: Whose images these are, as they say themselves: the first of them.
    patient_id: Mapped[str] = mapped_column(String(256), default="", server_default="", index=True)
    issuer_of_patient_id: Mapped[str] = mapped_column(String(64), default="", server_default="")
    birth_date: Mapped[str] = mapped_column(String(16), default="", server_default="")
    sex: Mapped[str] = mapped_column(String(16), default="", server_default="")
    #: Its images do not all say the same of the four.
    mixed_identity: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: How many images it has where it came from, and when that was asked for last.
    expected: Mapped[int | None]
    counted_at: Mapped[datetime | None]
    #: Context of its trace (``service.tracing``); None where spans are not told.
    trace: Mapped[str | None] = mapped_column(String(55))
    study: Mapped[Study] = relationship(back_populates="series")
    instances: Mapped[list["Instance"]] = relationship(back_populates="series")


class Instance(Base):
    """One received image: the bytes as they came, and where they are kept."""

    __tablename__ = "instances"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    #: Relative to the spool folder.
    path: Mapped[str] = mapped_column(String(256))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    received_at: Mapped[datetime]
    series: Mapped[Series] = relationship(back_populates="instances")


class PerformedStep(Base):
    """One performed procedure step that a scanner told of (MPPS)."""

    __tablename__ = "performed_steps"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: Name of the peer in the settings that told.
    peer: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    #: A ``service.core.status.StepState``.
    state: Mapped[str] = mapped_column(String(16))
    began_at: Mapped[datetime]
    #: When something was heard of it last.
    changed_at: Mapped[datetime]


class PerformedSeries(Base):
    """How many images a series has that a step made, of the classes that are kept; it may be not here yet."""

    __tablename__ = "performed_series"

    step_id: Mapped[int] = mapped_column(
        ForeignKey("performed_steps.id"), primary_key=True, autoincrement=False
    )
    series_uid: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    images: Mapped[int]


class SetAside(Base):
    """Other bytes that came under the identifier of an image that is here; they are kept beside it."""

    __tablename__ = "set_aside"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: The image that stays.
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"), index=True)
    #: Its series.
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    #: A ``service.core.status.Difference``; None until the two were compared.
    difference: Mapped[str | None] = mapped_column(String(16))
    #: Code of what differs; None until the two were compared.
    detail: Mapped[str | None] = mapped_column(String(64))
    calling_ae: Mapped[str] = mapped_column(String(16), default="")
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    #: Relative to the spool folder.
    path: Mapped[str] = mapped_column(String(256))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    #: Who the new bytes are of, and where they belong.
    study_uid: Mapped[str] = mapped_column(String(64))
    series_uid: Mapped[str] = mapped_column(String(64))
    patient_id: Mapped[str] = mapped_column(String(256), default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(String(64), default="")
    patient_name: Mapped[str] = mapped_column(String(512), default="")
    birth_date: Mapped[str] = mapped_column(String(16), default="")
    sex: Mapped[str] = mapped_column(String(16), default="")
    accession_number: Mapped[str] = mapped_column(String(64), default="")
    study_date: Mapped[str] = mapped_column(String(16), default="")
    description: Mapped[str] = mapped_column(String(256), default="")
    series_description: Mapped[str] = mapped_column(String(256), default="")
    received_at: Mapped[datetime]
    #: When the same bytes came last, and how often they came.
    last_at: Mapped[datetime]
    count: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    #: When it was decided that its file goes.
    leaves_at: Mapped[datetime | None] = mapped_column(index=True)

    __table_args__ = (
        UniqueConstraint("instance_id", "sha256"),
        # Those that are still to be compared: what each sweep looks for.
        Index(
            "ix_set_aside_not_compared",
            "id",
            sqlite_where=text("difference IS NULL"),
            postgresql_where=text("difference IS NULL"),
        ),
    )
