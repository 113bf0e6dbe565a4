"""What people say of results: reviews, corrected drawings, flags, replays, opt-outs, holds."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.tables.base import Base, BigId


class OptOut(Base):
    """A patient whose images are not analysed; who it is stands here as keyed hashes only."""

    __tablename__ = "opt_outs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: HMAC of the patient ID, by the key in HOME.
    patient_key: Mapped[str] = mapped_column(String(64))
    #: HMAC of the issuer of the patient ID; empty: whoever gave it.
    issuer_key: Mapped[str] = mapped_column(String(64), default="", server_default="")
    #: Which key made the hashes: the beginning of its own hash.
    made_with: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(256), default="", server_default="")
    #: Who wrote it down, as in the audit.
    actor: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("patient_key", "issuer_key"),)


class Review(Base):
    """What one reviewer said of the drawing of one result; the latest line of a result holds."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analyses.id"), index=True)
    #: A ``service.core.status.Verdict``.
    verdict: Mapped[str] = mapped_column(String(8))
    comment: Mapped[str] = mapped_column(String(500), default="", server_default="")
    #: As in the audit.
    actor: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime]


class ReplayOrder(Base):
    """A replay that a person ordered: one more run that publishes nothing."""

    __tablename__ = "replay_orders"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analyses.id"), index=True)
    #: As in the audit.
    actor: Mapped[str] = mapped_column(String(80))
    ordered_at: Mapped[datetime]
    #: How often it was begun.
    attempt: Mapped[int] = mapped_column(default=0, server_default="0")
    #: Until when nobody else begins it.
    taken_until: Mapped[datetime | None]
    #: Its outcome is an event of the analysis.
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    #: Why it could not be made.
    reason_code: Mapped[str | None] = mapped_column(String(64))
    reason_text: Mapped[str | None] = mapped_column(Text)


class Edit(Base):
    """One segmentation of images of ours that came back edited, and what became of it."""

    __tablename__ = "edits"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: The series of the images that it lies on.
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    #: Name of the sender in the settings.
    peer: Mapped[str] = mapped_column(String(64))
    #: Relative to the spool folder; empty once it is taken away, and where it was not kept.
    path: Mapped[str] = mapped_column(String(256))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    received_at: Mapped[datetime]
    #: "taken", or the code of the reason why not; None while that is not decided.
    outcome: Mapped[str | None] = mapped_column(String(64), index=True)
    reason_text: Mapped[str | None] = mapped_column(String(500))
    decided_at: Mapped[datetime | None]
    #: The version that it becomes or became, and the one whose drawing was edited. No foreign keys, because
    #: all versions go together with their study.
    analysis_id: Mapped[int | None] = mapped_column(BigId)
    corrects_id: Mapped[int | None] = mapped_column(BigId)
    #: Of those that were taken: the network that had drawn, and how far both drawings agree.
    network: Mapped[str | None] = mapped_column(String(160))
    contrast: Mapped[str | None] = mapped_column(String(16))
    comparison: Mapped[dict[str, Any] | None]
    #: When it was decided that its file goes.
    leaves_at: Mapped[datetime | None] = mapped_column(index=True)


class FlagHandling(Base):
    """One step of somebody about the raised flags of one result. Rows are only ever appended."""

    __tablename__ = "flag_handlings"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    analysis_id: Mapped[int] = mapped_column(ForeignKey("analyses.id"), index=True)
    #: A ``service.core.status.FlagStep``.
    step: Mapped[str] = mapped_column(String(16))
    #: Where the flags stand from then on, a ``service.core.status.Handling``; None: where they stood.
    state: Mapped[str | None] = mapped_column(String(16))
    #: Who is asked to look, where they are handed over.
    to_user: Mapped[str | None] = mapped_column(String(64))
    comment: Mapped[str] = mapped_column(String(500), default="", server_default="")
    #: As in the audit.
    actor: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime]


class LegalHold(Base):
    """A study of which nothing is deleted while this row stands."""

    __tablename__ = "legal_holds"

    study_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    reason: Mapped[str] = mapped_column(String(256))
    #: Who set it, as in the audit.
    actor: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime]
