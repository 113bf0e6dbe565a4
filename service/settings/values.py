"""What a single setting may look like."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
)

PREFIX = "MYOSCREEN_"
OutputName = Literal["SEG", "SR", "SC", "PDF", "GSPS"]
AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e ]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
#: Without a password in it: that stands in a file of its own.
WebUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$", max_length=512)]


def _viewer(text: str) -> str:
    """An address of a viewer with places for what names a study, as it was written."""
    named = set(VIEWER_FIELD.findall(text))
    if re.search("[{}]", VIEWER_FIELD.sub("", text)):
        raise ValueError("in viewer_url {study_uid}, {series_uid} and {accession_number} alone have braces")
    if named <= {"series_uid"}:
        raise ValueError("viewer_url names no study: {study_uid} or {accession_number}")
    if "{" in text.split("/")[2]:
        raise ValueError("nothing of a study may stand in the name of the server of viewer_url")
    return text


#: What may stand in braces in ``viewer_url``.
VIEWER_FIELD = re.compile(r"\{(study_uid|series_uid|accession_number)\}")
#: Of http or https alone, so that nothing else is ever behind the link.
ViewerUrl = Annotated[
    str, Field(pattern=r"^https?://[^\s/?#@]+/[^\s@\"'<>\\]*$", max_length=512), AfterValidator(_viewer)
]


def _network(text: str) -> str:
    """An address or a network, as it was written."""
    ipaddress.ip_network(text, strict=False)
    return text


Network = Annotated[str, AfterValidator(_network)]
_PART = r"(?i:CN|OU|O|C|ST|L|DC|SERIALNUMBER|EMAILADDRESS)=([^,\\]|\\.)+"
#: Parts of a certificate's subject, or one of its other names; how they are compared says settings.md.
TlsSubject = Annotated[str, Field(pattern=rf"^({_PART}(,{_PART})*|(DNS|IP|URI):\S+)$", max_length=512)]


MailBox = Annotated[str, Field(pattern=r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+$", max_length=254)]


RoleName = Literal["viewer", "reviewer", "operator", "admin", "auditor", "monitor"]
#: Signatures with a public key (RFC 7518, 3.1; RFC 8037). "none" and shared secrets are not among them.
SignatureName = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
Words = tuple[Annotated[str, Field(min_length=1, max_length=256)], ...]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
