"""What goes out: deliveries, who vouched for them, and who cannot be reached."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.tables.analyses import Output
from service.db.tables.base import Base, BigId


class Delivery(Base):
    """One object on its way to one peer."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    output_id: Mapped[int] = mapped_column(ForeignKey("outputs.id"), index=True)
    #: The analysis whose result the object is of, for the funnel to count by; None of one that tells of a
    #: withdrawal.
    analysis_id: Mapped[int | None] = mapped_column(BigId)
    #: Name of the peer in the settings.
    peer: Mapped[str] = mapped_column(String(64))
    #: A ``service.core.status.DeliveryState``.
    state: Mapped[str] = mapped_column(String(16))
    #: Counts claims: the proof of who sends.
    attempts: Mapped[int] = mapped_column(default=0)
    #: Counts tries that the object itself failed; an unreachable peer is nobody's failure.
    failures: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    #: Moves while the sending worker lives.
    heartbeat: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    #: DIMSE status of the last C-STORE response.
    dimse_status: Mapped[int | None]
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_text: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    #: The storage commitment that was asked for and not answered yet.
    transaction_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    #: When the peer is asked (again) whether it has the object; None where nobody asks.
    confirm_at: Mapped[datetime | None]
    confirm_attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    output: Mapped[Output] = relationship(back_populates="deliveries")

    __table_args__ = (
        UniqueConstraint("output_id", "peer"),
        Index("ix_deliveries_state_next_at", "state", "next_at"),
        # All that the funnel asks, in the order in which it counts.
        Index("ix_deliveries_funnel", "analysis_id", "state", "error_code", "confirm_at"),
        # How traffic with each peer stands, without sorting or looking up a row.
        Index("ix_deliveries_traffic", "peer", "state", "sent_at", "confirmed_at"),
        Index("ix_deliveries_state_confirm_at", "state", "confirm_at"),
        Index("ix_deliveries_peer_state_next_at", "peer", "state", "next_at"),
    )


class CommitmentRequest(Base):
    """A sender's question whether we hold what it sent, which is answered later."""

    __tablename__ = "commitment_requests"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: Name of the peer in the settings.
    peer: Mapped[str] = mapped_column(String(64))
    transaction_uid: Mapped[str] = mapped_column(String(64))
    #: SHA-256 over the objects, so that the same question is known again.
    digest: Mapped[str] = mapped_column(String(64))
    #: SOP class UID by SOP instance UID; None once the sender has its answer.
    objects: Mapped[dict[str, Any] | None]
    #: How many objects it asks about.
    count: Mapped[int]
    #: A ``service.core.status.CommitmentState``.
    state: Mapped[str] = mapped_column(String(16))
    #: Counts tries to report.
    attempts: Mapped[int] = mapped_column(default=0)
    #: When the next try may be made.
    next_at: Mapped[datetime | None]
    requested_at: Mapped[datetime]
    #: When the sender took the latest report, and what that said.
    answered_at: Mapped[datetime | None]
    committed: Mapped[int | None]
    failed: Mapped[int | None]
    #: Why the latest try did not succeed.
    reason_code: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        UniqueConstraint("peer", "transaction_uid", "digest"),
        Index("ix_commitment_requests_state_next_at", "state", "next_at"),
    )


class PeerCircuit(Base):
    """Whether a peer is sent to at all: a peer that fails again and again is left alone for a while."""

    __tablename__ = "peer_circuits"

    #: Name of the peer in the settings.
    peer: Mapped[str] = mapped_column(String(64), primary_key=True)
    #: closed, open or half_open.
    state: Mapped[str] = mapped_column(String(16))
    #: Failures in a row.
    failures: Mapped[int] = mapped_column(default=0)
    open_until: Mapped[datetime | None]
    reason_code: Mapped[str | None] = mapped_column(String(64))
    reason_text: Mapped[str | None] = mapped_column(Text)
    changed_at: Mapped[datetime]
    #: What the peer refused of the variant it was to get, as ``core.variant.REFUSABLE`` names it, with blanks
    #: between; it gets the plainer form of each.
    refused: Mapped[str] = mapped_column(String(64), default="", server_default="")
