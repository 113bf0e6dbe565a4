"""One neighbour: ``[[peer]]``."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from service.settings.values import AeTitle, OutputName, Port, TlsSubject, WebUrl


class Peer(BaseModel):
    """One DICOM node that may send to us, or that results are sent to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    ae_title: AeTitle
    host: str = Field(min_length=1)
    #: Absent: never contacted.
    port: Port | None = None
    may_send: bool = True
    unwanted: Literal["refuse", "discard"] = "refuse"
    #: Spoken to, and let in, by TLS alone.
    tls: bool = False
    #: Who its certificate must name; several where it shows more than one certificate.
    tls_subject: tuple[TlsSubject, ...] = ()
    outputs: tuple[OutputName, ...] = ()
    #: How the segmentation is encoded; a peer that refuses the label map gets the binary set from then on.
    profile: Literal["binary", "labelmap"] = "binary"
    #: Class of the report, for archives that do not take the usual one.
    sr_class: Literal["comprehensive3d", "comprehensive", "enhanced"] = "comprehensive3d"
    #: Every number with its segment, or an outline on one slice for viewers that show nothing else.
    sr_form: Literal["volumetric", "planar"] = "volumetric"
    #: Offer it deflated copies of the objects, and send these where it takes them.
    deflated: bool = False
    #: After a review: it gets nothing of a result before a reviewer accepted it.
    release: Literal["automatic", "after_review"] = "automatic"
    flags: bool = False
    language: Literal["en", "de"] = "en"
    #: Root of the peer's DICOMweb services: results go there by STOW-RS instead of to ``port``.
    stow_url: WebUrl | None = None
    #: Root of QIDO-RS where it is another one.
    qido_url: WebUrl | None = None
    #: File with ``user:password`` or ``Bearer TOKEN`` for DICOMweb.
    authorization_file: Path | None = None
    #: Certificates that are trusted for DICOMweb instead of those of the system.
    ca_file: Path | None = None
    #: How the peer is asked afterwards whether it has what it was sent.
    confirm: Literal["none", "commitment", "query"] = "none"
    #: Whether it may ask us for storage commitment of what it sent. Off, because we are no archive.
    commitment_scp: bool = False
    #: Whether it may tell us which images it made, by performed procedure steps.
    mpps_scp: bool = False
    #: Whether a segmentation that it sends for images of ours is taken as edited by a person.
    edits: bool = False
    #: Whether it is asked how many images a series has that it sends: by C-FIND, or QIDO-RS of ``stow_url``.
    count: Literal["none", "query"] = "none"
    #: Results on their way to it at a time.
    lanes: int = Field(default=1, ge=1, le=8)
    #: How long it may think about one object, or take no byte.
    answer_seconds: float = Field(default=60.0, gt=0, le=3600)

    @field_validator("tls_subject", mode="before")
    @classmethod
    def _one_subject(cls, value: Any) -> Any:
        """Accept one subject without brackets."""
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _a_sender_by_tls_is_bound(self) -> Self:
        calls = self.may_send or self.confirm == "commitment" or self.commitment_scp or self.mpps_scp
        if self.tls and calls and not self.tls_subject:
            raise ValueError(f"peer {self.name!r} may call by TLS but has no tls_subject")
        if self.tls_subject and not self.tls:
            raise ValueError(f"peer {self.name!r} has a tls_subject but not tls = true")
        return self

    @model_validator(mode="after")
    def _outputs_need_a_port(self) -> Self:
        if self.outputs and self.port is None and self.stow_url is None:
            raise ValueError(f"peer {self.name!r} is to get outputs but has no port and no stow_url")
        return self

    @model_validator(mode="after")
    def _a_count_needs_somebody_to_ask(self) -> Self:
        if self.count == "query" and self.port is None and self.stow_url is None:
            raise ValueError(f"peer {self.name!r} cannot be asked for counts without a port or a stow_url")
        return self

    @model_validator(mode="after")
    def _one_way_out(self) -> Self:
        if self.stow_url is None and (self.qido_url or self.authorization_file or self.ca_file):
            raise ValueError(f"peer {self.name!r} has settings of DICOMweb but no stow_url")
        if self.deflated and self.port is None:
            raise ValueError(f"peer {self.name!r} cannot be sent deflated copies without a port")
        if self.stow_url is not None and self.port is not None:
            raise ValueError(f"peer {self.name!r} has a port and a stow_url: write two peers")
        if self.confirm == "commitment" and self.port is None:
            raise ValueError(f"peer {self.name!r} cannot be asked for a storage commitment without a port")
        return self
