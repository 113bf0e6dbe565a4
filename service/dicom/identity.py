"""Who made a result object, and under which unique identifiers.

Every identifier is computed from what shapes the bytes, so the same input gives the same object and
no identifier ever stands for two different ones.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

import service
from service.core.status import OutputKind
from service.dicom.headers import Attributes

MANUFACTURER: Final = "myoscreen"
#: Every SeriesDescription of ours begins with this.
SERIES_PREFIX: Final = "MYOSCREEN"
DEVICE_SERIAL_NUMBER: Final = "0"
SOFTWARE_VERSION: Final = service.__version__
#: Names of ours are hashed below this; chosen by us once at random and never to be changed.
NAMESPACE: Final = uuid.UUID("5b0f8f64-7c0b-4e1c-9d7e-2f6f5a3e8c11")
IMPLEMENTATION_VERSION_NAME: Final = "MYOSCREEN"

#: Series numbers of results; above those that scanners use (DICOM.md 1.5, chosen by us).
SERIES_NUMBERS: Final = {
    OutputKind.SEG: 9001,
    OutputKind.SR: 9002,
    OutputKind.SC: 9003,
    OutputKind.PDF: 9004,
    OutputKind.GSPS: 9005,
    OutputKind.KOS: 9006,
}


@dataclass(frozen=True, kw_only=True)
class ObjectIdentity:
    """What the identifiers and the times of one finding's objects are made from.

    ``mask_digest`` covers everything that shapes the mask (source instances, network, provider and
    precision, boundary rule); ``report_digest`` also covers norms, policy, demographics and prior.
    """

    mask_digest: str
    report_digest: str
    #: Written as the creation time, in its own time zone. Also part of every identifier.
    at: datetime
    #: Which block of its series the objects are of, such as "block 2/5"; "" where they are of no block.
    block: str = ""
    #: Added to the series numbers of a block's objects, so that viewers list them together.
    series_offset: int = 0


@dataclass(frozen=True, kw_only=True)
class Written:
    """One result object as it lies on disk."""

    kind: OutputKind
    sop_class_uid: str
    sop_instance_uid: str
    path: Path
    sha256: str
    size: int
    #: Names of the variants of the result that it belongs to (``service.core.variant``).
    variants: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An object of ours that another one names: by study, series, class and instance."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str

    def as_dataset(self) -> Dataset:
        """The same as the libraries want it."""
        dataset = Dataset()
        dataset.StudyInstanceUID = self.study_uid
        dataset.SeriesInstanceUID = self.series_uid
        dataset.SOPClassUID = self.sop_class_uid
        dataset.SOPInstanceUID = self.sop_instance_uid
        return dataset


def own_reference(study_uid: str, sop_class_uid: str, sop_instance_uid: str) -> Reference:
    """Names an object of ours: its series follows from its own identifier."""
    return Reference(
        study_uid=study_uid,
        series_uid=series_uid(sop_instance_uid),
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
    )


def series_uid(sop_instance_uid: str) -> str:
    """The identifier of the series of one object (each result object has its own series)."""
    return uid("series", sop_instance_uid)


def uid(role: str, *key: str) -> str:
    """A DICOM identifier below 2.25 that depends on the role and the key only (PS3.5 B.2)."""
    name = "\x1f".join([role, *key])
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def fingerprint(*parts: bytes | str) -> str:
    """SHA-256 over several parts, each with its length, so that no two lists of parts agree."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()


def tracking_uid(identity: ObjectIdentity, name: str) -> str:
    """The identifier under which SEG and SR speak of the same region."""
    return uid("tracking", identity.mask_digest, name)


def is_own_result(dataset: Dataset) -> bool:
    """Whether this service made the object, so that it is not analysed when a PACS sends it back.

    Never raises: a value that cannot be read is not one that we wrote.
    """
    attributes = Attributes((dataset,))
    ours = attributes.text("Manufacturer") == MANUFACTURER
    return ours and attributes.code("SeriesDescription").startswith(SERIES_PREFIX)


IMPLEMENTATION_CLASS_UID: Final = uid("implementation class")
CODING_SCHEME_UID: Final = uid("coding scheme", "99MYOSCREEN")
