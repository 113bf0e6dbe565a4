"""How the service runs: events, counters, doors, troubles, notices, back-fill."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.tables.base import Base, BigId


class Event(Base):
    """One line of a timeline. ``detail`` carries codes and numbers, never identifiers.

    The one free text is the comment that a person gives to a withdrawal.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    name: Mapped[str] = mapped_column(String(64))
    series_id: Mapped[int | None] = mapped_column(ForeignKey("series.id"), index=True)
    analysis_id: Mapped[int | None] = mapped_column(ForeignKey("analyses.id"), index=True)
    detail: Mapped[dict[str, Any] | None]


class Counter(Base):
    """Things counted without a row of their own (own results dropped, instances refused)."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[int] = mapped_column(default=0)


class RejectedCaller(Base):
    """Somebody who was not let in, so that an administrator can see why and add the peer."""

    __tablename__ = "rejected_callers"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    calling_ae: Mapped[str] = mapped_column(String(16))
    called_ae: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(64))
    #: Whom the latest certificate named; None where there was none.
    tls_subject: Mapped[str | None] = mapped_column(String(256))
    count: Mapped[int] = mapped_column(default=1)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("calling_ae", "called_ae", "address", "reason"),)


class Door(Base):
    """One running process of the service, and when it last said so."""

    __tablename__ = "doors"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: receiver, worker or web.
    name: Mapped[str] = mapped_column(String(16))
    host: Mapped[str] = mapped_column(String(128))
    pid: Mapped[int]
    version: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    #: Facts of the door, such as the execution providers of the network.
    detail: Mapped[dict[str, Any] | None]

    __table_args__ = (UniqueConstraint("name", "host", "pid"),)


class SelfTest(Base):
    """One run of the phantom through the whole service."""

    __tablename__ = "self_tests"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: The study that it sends; None once that is taken away again.
    study_uid: Mapped[str | None] = mapped_column(String(64), unique=True)
    #: Names of the peers that get its results all the same, with a comma between.
    peers: Mapped[str] = mapped_column(String(1024), default="", server_default="")
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    #: "passed", or the code of the reason why not; None while it runs.
    outcome: Mapped[str | None] = mapped_column(String(64))
    #: What was measured beside what is true, and seconds by step.
    detail: Mapped[dict[str, Any] | None]


class OpenTrouble(Base):
    """Something that is wrong now, as one recipient of notifications is told of it."""

    __tablename__ = "open_troubles"

    #: Name of the recipient in the settings.
    recipient: Mapped[str] = mapped_column(String(64), primary_key=True)
    #: ``service.core.trouble.Trouble.key``.
    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    code: Mapped[str] = mapped_column(String(64))
    about: Mapped[str] = mapped_column(String(96), default="", server_default="")
    #: A ``service.core.trouble.Severity``.
    severity: Mapped[str] = mapped_column(String(16))
    #: Numbers for the sentences, as they were last.
    numbers: Mapped[dict[str, Any] | None]
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
    #: When the recipient was told; None while it may still pass by itself.
    told_at: Mapped[datetime | None]


class Notice(Base):
    """One message to one recipient, kept until it is sent. Nothing of a patient stands in it."""

    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    recipient: Mapped[str] = mapped_column(String(64))
    #: trouble, digest or test.
    kind: Mapped[str] = mapped_column(String(16))
    #: What makes it the only one of its kind, such as the day of a digest.
    once: Mapped[str | None] = mapped_column(String(160), unique=True)
    subject: Mapped[str] = mapped_column(String(256))
    body: Mapped[str] = mapped_column(Text)
    #: The same for programs.
    content: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    #: pending, sent or dead.
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    next_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index("ix_notices_state_next_at", "state", "next_at"),)


class Backfill(Base):
    """One past study that is to be fetched from a peer, or one accession number that names some."""

    __tablename__ = "backfills"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    #: Name of the peer in the settings.
    peer: Mapped[str] = mapped_column(String(64))
    #: study or accession.
    kind: Mapped[str] = mapped_column(String(16))
    #: StudyInstanceUID or AccessionNumber.
    value: Mapped[str] = mapped_column(String(64))
    #: Whether results go to the peers as usual.
    deliver: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: The study came by this line alone, so nothing of it is delivered without ``deliver``.
    brought: Mapped[bool] = mapped_column(default=False, server_default=false())
    #: A ``service.core.status.BackfillOutcome``; None while it waits.
    outcome: Mapped[str | None] = mapped_column(String(16))
    #: Code of the reason of the last try that failed.
    reason_code: Mapped[str | None] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    #: Not tried before; while it is tried, when another may take it.
    next_at: Mapped[datetime]
    #: When its images were asked for last: the pace goes by it.
    started_at: Mapped[datetime | None] = mapped_column(index=True)
    #: Images that came, or studies that an accession number names.
    count: Mapped[int | None]
    added_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("peer", "kind", "value"),
        Index("ix_backfills_outcome_next_at", "outcome", "next_at"),
        Index("ix_backfills_value", "value"),
    )
