"""The shapes of peers in the REST interface."""

from datetime import datetime

from pydantic import Field

from service.web.schemas import Shape


class CircuitShape(Shape):
    """Whether a peer is sent to; ``since`` when, and why not."""

    state: str = Field(description="closed: sent to; open: left alone; half_open: one result probes it")
    failures: int = Field(description="failures to reach it, in a row")
    next_probe_at: datetime | None
    reason_code: str | None
    reason_text: str | None
    since: datetime | None


class PeerShape(Shape):
    """One DICOM node of the settings, and how deliveries to it stand."""

    name: str
    ae_title: str
    host: str
    port: int | None
    may_send: bool
    unwanted: str
    outputs: list[str]
    profile: str
    sr_class: str
    refused: list[str] = Field(
        description="of the settings: labelmap, comprehensive3d, comprehensive; "
        "it gets the plainer form of each"
    )
    release: str
    flags: bool
    language: str
    stow_url: str | None
    confirm: str
    commitment_scp: bool
    lanes: int
    circuit: CircuitShape
    deliveries: dict[str, int]
    last_sent_at: datetime | None
    last_confirmed_at: datetime | None


class PeerList(Shape):
    """All peers of the settings."""

    items: list[PeerShape]


class PeerReset(Shape):
    """The peer is sent to again."""

    peer: str
    circuit: str


class PeerRetried(Shape):
    """Objects that were given up and are sent again."""

    peer: str
    deliveries: int


class PeerGivenUp(Shape):
    """Objects that waited for a peer and are given up."""

    peer: str
    deliveries: int


class EchoResult(Shape):
    """The peer answered a C-ECHO."""

    peer: str
    ok: bool
    seconds: float
