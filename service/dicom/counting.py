"""How many images a series has where it came from, by C-FIND (PS3.4, C.4.1)."""

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from service.dicom.commitment import PENDING, STUDY_ROOT_FIND
from service.dicom.headers import Attributes
from service.dicom.scu import Address, associate
from service.errors import PeerUnreachable

log = logging.getLogger(__name__)

#: Matches of one question that are read; a series of more images is not counted. Chosen by us: far above the
#: longest of MR.
MOST_MATCHES: Final = 100_000


def count_images(series: Sequence[tuple[str, str]], address: Address) -> Iterator[int | None]:
    """For each series (study and series UID), how many images the peer says it has; None: it does not say.

    Asked is NumberOfSeriesRelatedInstances (PS3.4, C.3.4), and where a peer does not give that, its images
    are asked for and counted. Raises PeerUnreachable when it gives no answer.
    """
    with associate(address, [build_context(STUDY_ROOT_FIND)]) as association:
        for study_uid, series_uid in series:
            yield _count(association, study_uid, series_uid)


def _count(association: Association, study_uid: str, series_uid: str) -> int | None:
    """The answer for one series."""
    question = Dataset()
    question.QueryRetrieveLevel = "SERIES"
    question.StudyInstanceUID, question.SeriesInstanceUID = study_uid, series_uid
    question.NumberOfSeriesRelatedInstances = None
    matches = [
        match
        for match in ask(association, question)
        if Attributes((match,)).text("SeriesInstanceUID") == series_uid
    ]
    if not matches:
        return None
    said = Attributes((matches[0],)).whole("NumberOfSeriesRelatedInstances")
    if said is not None and said > 0:
        return said
    question = Dataset()
    question.QueryRetrieveLevel = "IMAGE"
    question.StudyInstanceUID, question.SeriesInstanceUID = study_uid, series_uid
    question.SOPInstanceUID = ""
    images = {
        uid for match in ask(association, question) if (uid := Attributes((match,)).text("SOPInstanceUID"))
    }
    return len(images) if images and len(images) < MOST_MATCHES else None


def ask(association: Association, question: Dataset) -> Iterator[Dataset]:
    """The matches of one question, as many as are read."""
    try:
        for number, (status, match) in enumerate(
            association.send_c_find(question, UID(STUDY_ROOT_FIND)), start=1
        ):
            code = status.get("Status")
            if code not in PENDING | {0x0000}:
                raise PeerUnreachable("The peer did not answer C-FIND.", reason="query_failed")
            if code in PENDING and match is not None:
                yield match
            if number >= MOST_MATCHES:
                association.abort()
                raise PeerUnreachable("The peer answered C-FIND without end.", reason="query_failed")
    except (RuntimeError, OSError) as error:
        raise PeerUnreachable("The peer broke off.", reason="no_answer") from error
