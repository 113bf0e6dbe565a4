"""What is measured: analyses, what goes into each, and the objects made of it."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.tables.base import Base, BigId
from service.db.tables.received import NEVER_AGAIN, Series, Study

if TYPE_CHECKING:
    from service.db.tables.deliveries import Delivery


#: A measured result that stands: what the population page is made of.
CURRENT = "state = 'measured' AND withdrawn_at IS NULL"
#: One that stands no more.
PAST = "state = 'superseded' OR withdrawn_at IS NOT NULL"
#: Withdrawn, and the peers are not told yet: what each sweep looks for.
_WITHDRAWAL_OPEN = "withdrawn_at IS NOT NULL AND withdrawal_made_at IS NULL"


class Analysis(Base):
    """One run of one network on one input set."""

    __tablename__ = "analyses"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    #: Digest of the input set (roles, stacks and the instances in them).
    input_digest: Mapped[str] = mapped_column(String(64), index=True)
    #: Counts the analyses of the same stacks, from 1.
    version: Mapped[int] = mapped_column(default=1)
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("analyses.id"))
    #: A ``service.core.status.AnalysisState``.
    state: Mapped[str] = mapped_column(String(16))
    #: Counts claims; only the holder of the current attempt may publish.
    attempt: Mapped[int] = mapped_column(default=0)
    #: Which worker holds the lease (host, pid), for the status page.
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    #: Moves while the worker lives; the sweeper watches it on its own monotonic clock.
    heartbeat: Mapped[int] = mapped_column(default=0)
    #: READY rows are not rung before this time (back-off after a failed attempt).
    not_before: Mapped[datetime | None]
    reason_code: Mapped[str | None] = mapped_column(String(64))
    reason_text: Mapped[str | None] = mapped_column(Text)
    contrast: Mapped[str | None] = mapped_column(String(16))
    region: Mapped[str | None] = mapped_column(String(16))
    #: The finding as published (finding.json), None until finished.
    finding: Mapped[dict[str, Any] | None]
    #: Any flag of the finding is raised.
    flagged: Mapped[bool] = mapped_column(default=False)
    #: Seconds by step, for the timeline and the benchmark.
    timings: Mapped[dict[str, Any] | None]
    #: Result folder, relative to HOME; set when published.
    result_path: Mapped[str | None] = mapped_column(String(256))
    #: The time that stands in the objects: when the first version of this input set was made ready,
    #: so that a rerun which finds the same gives the same bytes.
    object_time: Mapped[datetime]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    #: When its files were taken away after the time they are kept; the finding stays in the row.
    results_purged_at: Mapped[datetime | None]
    #: When a person took the result back; it is current for nobody from then on.
    withdrawn_at: Mapped[datetime | None]
    #: A ``service.core.status.WithdrawalReason``.
    withdrawal_reason: Mapped[str | None] = mapped_column(String(16))
    #: Who took it back, as in the audit.
    withdrawn_by: Mapped[str | None] = mapped_column(String(80))
    #: When the objects that tell the peers were made, or it was found that there is nobody to tell.
    withdrawal_made_at: Mapped[datetime | None]
    #: What rules may ask of its images, and what they decided (``service.pipeline.choose``).
    choice: Mapped[dict[str, Any] | None]
    #: The version whose measures are scored again without the images; None: the images are measured.
    #: No foreign key, because all versions go together with their study.
    rescores_id: Mapped[int | None] = mapped_column(BigId)
    #: The edited segmentation that is measured in the place of a drawing of the network; None: the network
    #: draws.
    edit_id: Mapped[int | None] = mapped_column(BigId)
    #: The rules have not decided yet, so nobody takes it.
    undecided: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: Context of its span in the trace of its series (``service.tracing``).
    trace: Mapped[str | None] = mapped_column(String(55))
    study: Mapped[Study] = relationship()
    #: The stack that results lie on first.
    inputs: Mapped[list["AnalysisInput"]] = relationship(
        back_populates="analysis", order_by="AnalysisInput.id"
    )
    outputs: Mapped[list["Output"]] = relationship(back_populates="analysis")

    __table_args__ = (
        Index("ix_analyses_state_not_before", "state", "not_before"),
        Index("ix_analyses_state_finished_at", "state", "finished_at"),
        # All that the funnel asks of a row, whose finding is large.
        Index(
            "ix_analyses_funnel",
            "state",
            "reason_code",
            "contrast",
            "flagged",
            "undecided",
            "withdrawn_at",
            "withdrawal_reason",
            "version",
            "study_id",
        ),
        Index(
            "ix_analyses_withdrawal_open",
            "id",
            sqlite_where=text(_WITHDRAWAL_OPEN),
            postgresql_where=text(_WITHDRAWAL_OPEN),
        ),
        Index("ix_analyses_flagged", "id", sqlite_where=text("flagged"), postgresql_where=text("flagged")),
        Index("ix_analyses_current", "id", sqlite_where=text(CURRENT), postgresql_where=text(CURRENT)),
        Index("ix_analyses_past", "id", sqlite_where=text(PAST), postgresql_where=text(PAST)),
        NEVER_AGAIN,
    )


class AnalysisInput(Base):
    """One stack of an input set, in its role (a ``service.core.series.Role``)."""

    __tablename__ = "analysis_inputs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analyses.id"), index=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    stack: Mapped[int]
    analysis: Mapped[Analysis] = relationship(back_populates="inputs")
    series: Mapped[Series] = relationship()


class Output(Base):
    """One DICOM object that was made from a finding; its bytes are re-sent, never rebuilt."""

    __tablename__ = "outputs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analyses.id"), index=True)
    #: A ``service.core.status.OutputKind``.
    kind: Mapped[str] = mapped_column(String(8))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    #: Relative to HOME.
    path: Mapped[str] = mapped_column(String(256))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    #: Names of the variants that it belongs to (``service.core.variant``), with a space between.
    variants: Mapped[str] = mapped_column(String(255), default="", server_default="")
    #: It is no part of the result, but tells that the result is withdrawn.
    withdrawal: Mapped[bool] = mapped_column(default=False, server_default=false())
    analysis: Mapped[Analysis] = relationship(back_populates="outputs")
    deliveries: Mapped[list["Delivery"]] = relationship(back_populates="output")

    __table_args__ = (UniqueConstraint("analysis_id", "sop_instance_uid"),)
