"""The shapes of the page for monitoring in the REST interface."""

from datetime import datetime
from typing import Any

from pydantic import Field

from service.web.peering_shapes import PeerShape
from service.web.schemas import RESEARCH_USE, Check, FunnelShape, LossShape, Shape


class DoorShape(Shape):
    """One process of the service."""

    name: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    detail: dict[str, Any] | None


class Disk(Shape):
    """Room on the disk that HOME lies on."""

    total_bytes: int
    free_bytes: int
    #: Below this, images are refused ...
    min_free_bytes: int
    #: ... until so much is free again.
    resume_free_bytes: int
    #: Whether a receiver refuses images now, as it said a few seconds ago.
    refusing: bool
    enough: bool


class ModelShape(Shape):
    """The network on disk, or why there is none."""

    ok: bool
    reason: str | None = None
    name: str
    version: str | None = None
    sha256: str | None = None
    definition: str | None = None
    precision: str | None = None


class Failure(Shape):
    """The latest analysis that was given up."""

    at: datetime | None
    code: str | None


class Rejected(Shape):
    """Somebody who was not let in."""

    calling_ae: str
    called_ae: str
    address: str
    reason: str
    #: Whom its certificate named.
    tls_subject: str | None
    count: int
    first_at: datetime
    last_at: datetime
    #: What has to change where no ``[[peer]]`` table is missing.
    remedy: str | None
    #: A ``[[peer]]`` table for ``myoscreen.toml`` that would let it in.
    peer_block: str | None


class TroubleShape(Shape):
    """One thing that is wrong: what, why it matters, what to do."""

    code: str
    severity: str = Field(description="note, warning or critical")
    about: str = Field(description="which peer, door, certificate or file; empty where there is only one")
    what: str
    why: str
    remedy: str


class Status(Shape):
    """One page for monitoring; no patient data."""

    service: str = "myoscreen"
    notice: str = RESEARCH_USE
    version: str
    at: datetime
    ready: bool
    checks: list[Check]
    doors: list[DoorShape]
    queue_depth: int
    oldest_waiting_at: datetime | None
    oldest_waiting_seconds: float | None
    oldest_delivery_seconds: float | None
    last_received_at: datetime | None
    last_success_at: datetime | None
    last_failure: Failure | None
    disk: Disk
    peers: list[PeerShape]
    model: ModelShape
    norms: list[str]
    policy: str
    counts: dict[str, int] = Field(description="Analyses by state.")
    series: dict[str, int] = Field(description="Series by state.")
    funnel: FunnelShape
    losses: list[LossShape] = Field(description="Why not everything reached each step of the funnel.")
    commitments: dict[str, int] = Field(
        description="Senders' questions about storage commitment, last 30 days: open, answered, given_up."
    )
    counters: dict[str, int]
    rejected_callers: list[Rejected]
    troubles: list[TroubleShape] = Field(description="Everything that is wrong, the worst first.")
    vitals: dict[str, Any] = Field(description="What that is judged by; ages in seconds.")
