"""Who did what: activations and the audit record."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.tables.base import Base, BigId


class Activation(Base):
    """One network, policy or set of rules, or the reference tables together, that somebody put into force."""

    __tablename__ = "activations"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: A ``service.core.activation.Kind``.
    kind: Mapped[str] = mapped_column(String(16))
    #: As the settings write it; tables with commas between.
    name: Mapped[str] = mapped_column(String(512))
    version: Mapped[str] = mapped_column(String(512), default="", server_default="")
    #: What stands for all its files, and each of them: path below the models folder, and SHA-256.
    sha256: Mapped[str] = mapped_column(String(64))
    pieces: Mapped[dict[str, Any]]
    #: A ``service.core.activation.ActivationState``.
    state: Mapped[str] = mapped_column(String(16))
    #: As in the audit; "the settings" where these asked for it.
    asked_by: Mapped[str] = mapped_column(String(80))
    #: The person behind the actor, where that is known.
    asked_person: Mapped[str | None] = mapped_column(String(64))
    asked_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(500), default="", server_default="")
    #: Who confirmed or refused it.
    decided_by: Mapped[str | None] = mapped_column(String(80))
    decided_at: Mapped[datetime | None]
    decision_reason: Mapped[str] = mapped_column(String(500), default="", server_default="")
    #: From when until when it was in force.
    holds_from: Mapped[datetime | None]
    held_until: Mapped[datetime | None]
    #: The activation that a roll back of this one goes to.
    before_id: Mapped[int | None] = mapped_column(BigId)
    #: Of a roll back: the earlier activation that it puts into force again, and the one that it ends.
    restores_id: Mapped[int | None] = mapped_column(BigId)
    undoes_id: Mapped[int | None] = mapped_column(BigId)

    __table_args__ = (
        # One of each kind is in force, and one is proposed, whoever else writes at the same time.
        Index(
            "ix_activations_active",
            "kind",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
        Index(
            "ix_activations_proposed",
            "kind",
            unique=True,
            sqlite_where=text("state = 'proposed'"),
            postgresql_where=text("state = 'proposed'"),
        ),
    )


class SettingSeen(Base):
    """What the settings named when a worker last looked, so that a change of them is noticed."""

    __tablename__ = "settings_seen"

    #: A ``service.core.activation.Kind``.
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(512))


class AuditEntry(Base):
    """Who did what to which object. Rows are only ever appended."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    #: A user name, "key:NAME", or "service".
    actor: Mapped[str] = mapped_column(String(80))
    #: A constant such as "login", "analysis_viewed", "delivery_sent".
    action: Mapped[str] = mapped_column(String(64), index=True)
    #: "ok" or "refused".
    outcome: Mapped[str] = mapped_column(String(16), server_default=text("'ok'"))
    object_type: Mapped[str | None] = mapped_column(String(32))
    object_id: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[dict[str, Any] | None]
    #: Place in the chain (``service.core.chain``), None until the line is sealed.
    chain_number: Mapped[int | None]
    #: SHA-256 over this line and the hash of the one before.
    chain_hash: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index("ix_audit_chain_number", "chain_number", unique=True),)


class AuditOutbox(Base):
    """How far the sealed lines of the audit record were sent to a collector: they are the outbox."""

    __tablename__ = "audit_outbox"

    #: What it is sent by: "syslog".
    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    #: Place in the chain of the last line that was sent.
    sent_number: Mapped[int]
    #: Counts claims: the proof of who sends.
    claims: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    #: Tries in a row that failed.
    failures: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    #: Not tried before; while it is tried, when another may try.
    next_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    #: Why the last try failed.
    error_code: Mapped[str | None] = mapped_column(String(64))
