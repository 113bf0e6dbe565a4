"""Past studies of a peer by DICOMweb: found by QIDO-RS, and fetched by WADO-RS (PS3.18, 10.6 and 10.4)."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import urlencode

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from service.core.retrieval import Found, FoundSeries, Moved
from service.errors import PeerUnreachable, StoreRefused
from service.wire.dicomweb import CHUNK_BYTES, WebAddress, answering, ask, texts

#: All parts of a study or series, in whatever transfer syntax they lie there.
ACCEPT: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
#: Answers to questions that are read: a day of a large hospital has some thousand studies. Chosen by us.
LARGEST_ANSWER: Final = 64 << 20
#: Objects of one series; chosen by us, far above the longest of MR.
MOST_PARTS: Final = 20_000
#: One series may take so long; a peer that drips is cut off. Chosen by us.
LONGEST_SECONDS: Final = 3600.0
#: RFC 2046 5.1.1 says 70, Orthanc's have 73 characters; chosen by us.
LONGEST_BOUNDARY: Final = 200
STUDY, SERIES, MODALITY, MODALITIES = "0020000D", "0020000E", "00080060", "00080061"
ACCESSION, PATIENT, ISSUER, INSTANCES = "00080050", "00100020", "00100021", "00201209"
#: A UID goes into a URL, so what is none is passed over.
UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")


class Sink(Protocol):
    """Takes the bytes of one object."""

    def write(self, piece: memoryview) -> None:
        """Take the next piece."""

    def finish(self) -> int:
        """The whole object has come; 0 where it was taken."""

    def abandon(self) -> None:
        """The rest will not come."""


@dataclass(frozen=True, kw_only=True)
class WebArchive:
    """A peer that is asked by DICOMweb."""

    address: WebAddress
    #: Opens the way in for one object of a study.
    begin: Callable[[str], Sink]

    def find(self, *, study_uid: str = "", accession_number: str = "", day: str = "") -> list[Found]:
        """Studies by one of these; a day (YYYYMMDD) gives those with MR. Raises PeerUnreachable."""
        wanted = {
            **({"StudyInstanceUID": study_uid} if study_uid else {}),
            **({"AccessionNumber": accession_number} if accession_number else {}),
            **({"StudyDate": day, "ModalitiesInStudy": "MR"} if day else {}),
        }
        fields = [("includefield", tag) for tag in (PATIENT, ISSUER, ACCESSION, MODALITIES)]
        query = urlencode([*wanted.items(), *fields])
        found = [
            Found(
                study_uid=uid,
                accession_number=_text(item, ACCESSION),
                patient_id=_text(item, PATIENT),
                issuer_of_patient_id=_text(item, ISSUER),
                modalities=texts(item, MODALITIES),
            )
            for item in ask(f"studies?{query}", self.address, most_bytes=LARGEST_ANSWER)
            if (uid := _uid(item, STUDY))
        ]
        return [
            each
            for each in found
            if study_uid in ("", each.study_uid) and accession_number in ("", each.accession_number)
        ]

    def series_of(self, study_uid: str) -> list[FoundSeries]:
        """Every MR series of a study. Raises PeerUnreachable."""
        query = urlencode({"Modality": "MR", "includefield": INSTANCES})
        items = ask(f"studies/{study_uid}/series?{query}", self.address, most_bytes=LARGEST_ANSWER)
        return [
            FoundSeries(uid, int(count) if (count := _text(item, INSTANCES)).isdecimal() else None)
            for item in items
            if _text(item, MODALITY) == "MR" and (uid := _uid(item, SERIES))
        ]

    def pull(self, study_uid: str, series_uids: Sequence[str]) -> Moved:
        """Fetch these series.

        Raises PeerUnreachable where it failed and may work another time, and StoreRefused where the peer
        does not want to.
        """
        taken = [self._fetch(study_uid, series_uid) for series_uid in series_uids]
        return Moved(images=sum(each.images for each in taken), failed=sum(each.failed for each in taken))

    def _fetch(self, study_uid: str, series_uid: str) -> Moved:
        """One series, each object handed on while it comes."""
        root = self.address.qido_url.rstrip("/")
        place = f"{root}/studies/{study_uid}/series/{series_uid}"
        with answering("GET", place, {"Accept": ACCEPT}, self.address) as answer:
            if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_ACCEPTABLE):
                raise StoreRefused(
                    f"The peer answered WADO-RS with HTTP {answer.status}.", reason="wado_refused"
                )
            boundary = _boundary(answer.headers.get("Content-Type", ""))
            if answer.status != HTTPStatus.OK or not boundary:
                raise PeerUnreachable(
                    f"The peer answered WADO-RS with HTTP {answer.status}.", reason="wado_failed"
                )
            parts = _Parts(boundary, lambda: self.begin(study_uid))
            end = time.monotonic() + LONGEST_SECONDS
            try:
                while chunk := answer.read1(CHUNK_BYTES):
                    parts.write(chunk)
                    if time.monotonic() > end:
                        raise TimeoutError
                return parts.finish()
            finally:
                parts.abandon()


@dataclass
class _Parts:
    """Hands the parts of a multipart message on, one after the other."""

    boundary: str
    begin: Callable[[], Sink]
    images: int = 0
    failed: int = 0
    _ended: bool = False
    _sink: Sink | None = None
    _parser: MultipartParser = field(init=False)

    def __post_init__(self) -> None:
        """Make the parser."""
        self._parser = MultipartParser(
            self.boundary,
            {
                "on_part_begin": self._on_part,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; raises PeerUnreachable where they are no multipart message."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise PeerUnreachable("The answer is no multipart message.", reason="wado_failed") from error
        if self.images + self.failed > MOST_PARTS:
            raise PeerUnreachable("The answer to WADO-RS has no end.", reason="wado_failed")

    def finish(self) -> Moved:
        """The message is over; raises PeerUnreachable where it broke off."""
        if not self._ended:
            raise PeerUnreachable("The answer to WADO-RS broke off.", reason="wado_failed")
        return Moved(images=self.images, failed=self.failed)

    def abandon(self) -> None:
        """Nothing more will come."""
        if self._sink is not None:
            self._sink.abandon()
            self._sink = None

    def _on_part(self) -> None:
        self._sink = self.begin()

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        assert self._sink is not None, "the parser tells of a part first"
        self._sink.write(memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        assert self._sink is not None, "the parser tells of a part first"
        sink, self._sink = self._sink, None
        if sink.finish() == 0:
            self.images += 1
        else:
            self.failed += 1

    def _on_end(self) -> None:
        self._ended = True


def _boundary(content_type: str) -> str:
    """The boundary of multipart/related; "" where the answer is something else."""
    message = EmailMessage()
    try:
        message["Content-Type"] = content_type
        boundary = str(message.get_boundary(""))
    except (ValueError, LookupError, RecursionError):  # The library breaks on some of what may stand there.
        return ""
    usable = boundary.isascii() and len(boundary) <= LONGEST_BOUNDARY
    return boundary if usable and message.get_content_type() == "multipart/related" else ""


def _text(item: object, tag: str) -> str:
    found = texts(item, tag)
    return found[0] if found else ""


def _uid(item: object, tag: str) -> str:
    text = _text(item, tag)
    return text if len(text) <= 64 and UID.fullmatch(text) else ""
