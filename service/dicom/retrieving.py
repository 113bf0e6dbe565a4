"""Past studies of a peer: found by C-FIND, and moved here by C-MOVE (PS3.4 Annex C)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from service.core.retrieval import Found, FoundSeries, Moved
from service.dicom.commitment import PENDING, STUDY_ROOT_FIND
from service.dicom.counting import ask
from service.dicom.frames import UID_LENGTH, UID_PATTERN
from service.dicom.headers import Attributes, quiet
from service.dicom.scu import Address, associate
from service.errors import ConfigurationError, PeerUnreachable, StoreRefused

STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
#: PS3.4 table C.4-2 and PS3.7 annex C, where another time is like this one: class not supported, not
#: authorized, identifier does not match the class. Other failures may pass; the destination that is not known
#: is told by itself, and so is that not all came.
FINAL: Final = frozenset({0x0122, 0x0124, 0xA900})
UNKNOWN_DESTINATION: Final = 0xA801
INCOMPLETE: Final = 0xB000
#: A peer may say nothing while it sends a series, and may fetch it from slow storage first. Chosen by us.
MOVE_SECONDS: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A peer that is asked by DIMSE."""

    address: Address
    #: AE title that it sends to: our own.
    destination: str

    @quiet()
    def find(self, *, study_uid: str = "", accession_number: str = "", day: str = "") -> list[Found]:
        """Studies by one of these; a day (YYYYMMDD) gives those with MR. Raises PeerUnreachable."""
        question = Dataset()
        question.QueryRetrieveLevel = "STUDY"
        question.StudyInstanceUID = study_uid
        question.AccessionNumber = accession_number
        question.StudyDate = day
        question.ModalitiesInStudy = "MR" if day else ""
        question.PatientID = question.IssuerOfPatientID = ""
        with associate(self.address, [build_context(STUDY_ROOT_FIND)]) as association:
            answers = [Attributes((match,)) for match in ask(association, question)]
        found = (_found(each) for each in answers)
        return [
            each
            for each in found
            if each is not None
            and study_uid in ("", each.study_uid)
            and accession_number in ("", each.accession_number)
        ]

    @quiet()
    def series_of(self, study_uid: str) -> list[FoundSeries]:
        """Every MR series of a study. Raises PeerUnreachable."""
        question = Dataset()
        question.QueryRetrieveLevel = "SERIES"
        question.StudyInstanceUID = study_uid
        question.SeriesInstanceUID, question.Modality = "", "MR"
        question.NumberOfSeriesRelatedInstances = None
        with associate(self.address, [build_context(STUDY_ROOT_FIND)]) as association:
            answers = [Attributes((match,)) for match in ask(association, question)]
        return [
            FoundSeries(uid, each.whole("NumberOfSeriesRelatedInstances"))
            for each in answers
            if each.code("Modality") == "MR" and _is_uid(uid := each.text("SeriesInstanceUID"))
        ]

    @quiet()
    def pull(self, study_uid: str, series_uids: Sequence[str]) -> Moved:
        """Have these series sent to us.

        Raises PeerUnreachable where it failed and may work another time, StoreRefused where the peer does
        not want to, and ConfigurationError where no study can be moved here.
        """
        completed = failed = 0
        patient = replace(self.address, answer_seconds=max(self.address.answer_seconds, MOVE_SECONDS))
        try:
            with associate(patient, [build_context(STUDY_ROOT_MOVE)]) as association:
                for series_uid in series_uids:
                    moved = self._move(association, study_uid, series_uid)
                    completed, failed = completed + moved.images, failed + moved.failed
        except PeerUnreachable as error:
            if error.reason.code == "context_refused":
                raise ConfigurationError("The peer takes no C-MOVE.", reason="move_not_taken") from error
            raise
        return Moved(images=completed, failed=failed)

    def _move(self, association: Association, study_uid: str, series_uid: str) -> Moved:
        """One series."""
        question = Dataset()
        question.QueryRetrieveLevel = "SERIES"
        question.StudyInstanceUID, question.SeriesInstanceUID = study_uid, series_uid
        status = Dataset()
        for status, _ in self._answers(association, question):
            if status.get("Status") not in PENDING:
                break
        code = status.get("Status")
        done = Moved(
            images=int(status.get("NumberOfCompletedSuboperations") or 0)
            + int(status.get("NumberOfWarningSuboperations") or 0),
            failed=int(status.get("NumberOfFailedSuboperations") or 0),
        )
        if code in (0x0000, INCOMPLETE):
            return done
        if code == UNKNOWN_DESTINATION:
            raise ConfigurationError(
                f"The peer does not know our AE title {self.destination}, so it can move nothing here.",
                reason="move_destination_unknown",
            )
        if code in FINAL:
            raise StoreRefused(f"The peer refused C-MOVE ({code:#06x}).", reason="move_refused")
        raise PeerUnreachable("The peer did not finish C-MOVE.", reason="move_failed")

    def _answers(
        self, association: Association, question: Dataset
    ) -> Iterator[tuple[Dataset, Dataset | None]]:
        try:
            yield from association.send_c_move(question, self.destination, UID(STUDY_ROOT_MOVE))
        except (RuntimeError, OSError) as error:
            raise PeerUnreachable("The peer broke off.", reason="no_answer") from error


def _found(attributes: Attributes) -> Found | None:
    study_uid = attributes.text("StudyInstanceUID")
    if not _is_uid(study_uid):
        return None
    return Found(
        study_uid=study_uid,
        accession_number=attributes.text("AccessionNumber"),
        patient_id=attributes.text("PatientID"),
        issuer_of_patient_id=attributes.text("IssuerOfPatientID"),
        modalities=attributes.codes("ModalitiesInStudy"),
    )


def _is_uid(text: str) -> bool:
    return len(text) <= UID_LENGTH and UID_PATTERN.fullmatch(text) is not None
