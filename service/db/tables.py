"""The tables. The row is the job: whatever must survive a restart stands in one of these.

Times are timezone-aware UTC. UIDs are as received; nothing from a header is ever used as a path.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

#: SQLite gives rows an id by itself only for INTEGER primary keys.
BigId = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC time on every database; naive times are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store as UTC (SQLite keeps no zone, so the zone is dropped there)."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables share these conventions."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
    }


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
    #: The rules have not decided yet, so nobody takes it.
    undecided: Mapped[bool] = mapped_column(default=False, server_default=false())
    study: Mapped[Study] = relationship()
    #: The stack that results lie on first.
    inputs: Mapped[list["AnalysisInput"]] = relationship(
        back_populates="analysis", order_by="AnalysisInput.id"
    )
    outputs: Mapped[list["Output"]] = relationship(back_populates="analysis")

    __table_args__ = (
        Index("ix_analyses_state_not_before", "state", "not_before"),
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


class Delivery(Base):
    """One object on its way to one peer."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    output_id: Mapped[int] = mapped_column(ForeignKey("outputs.id"), index=True)
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


class User(Base):
    """A person who may log in."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(256))
    #: viewer, operator, admin or auditor.
    role: Mapped[str] = mapped_column(String(16))
    disabled: Mapped[bool] = mapped_column(default=False)
    #: The password was given out once and must be changed at the next login.
    must_change: Mapped[bool] = mapped_column(default=False)
    failed_logins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class WebSession(Base):
    """One login in one browser; the cookie holds a secret whose digest stands here."""

    __tablename__ = "web_sessions"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    user: Mapped[User] = relationship()


class ApiKey(Base):
    """A key for a program; only its digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    key_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    #: From when on it lets nobody in; None: never by itself.
    expires_at: Mapped[datetime | None]


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
