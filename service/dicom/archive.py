"""A small archive for the demonstration and for tests: takes everything, keeps it by study."""

import hashlib
import logging
from collections import defaultdict
from pathlib import Path
from threading import Lock
from typing import Self

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from service import files
from service.dicom.identity import is_own_result

log = logging.getLogger(__name__)


class Archive:
    """A C-STORE SCP on loopback that writes what it gets below ``folder``."""

    def __init__(self, folder: Path, *, ae_title: str) -> None:
        self._folder = files.make_private_dir(folder)
        self._lock = Lock()
        #: SOP class UIDs of our own results, by study.
        self._results: dict[str, list[str]] = defaultdict(list)
        self._ae = AE(ae_title=ae_title)
        self._ae.supported_contexts = [*AllStoragePresentationContexts]
        self._ae.add_supported_context(Verification)
        self._server: object | None = None

    def start(self, port: int) -> Self:
        """Listen on loopback in threads of this process."""
        self._server = self._ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._ae.shutdown()

    def result_classes(self, study_uid: str) -> list[str]:
        """SOP class UIDs of the results that arrived for one study."""
        with self._lock:
            return list(self._results[study_uid])

    def _store(self, event: evt.Event) -> int:
        """Keep one object under a name of our own."""
        dataset = event.dataset
        study_uid = str(dataset.StudyInstanceUID)
        folder = files.make_private_dir(self._folder / _name(study_uid))
        files.write_atomically(folder / f"{_name(str(dataset.SOPInstanceUID))}.dcm", event.encoded_dataset())
        if is_own_result(dataset):
            with self._lock:
                self._results[study_uid].append(str(dataset.SOPClassUID))
        return 0x0000


def _name(uid: str) -> str:
    """A file name for an identifier from outside."""
    return hashlib.sha256(uid.encode("utf-8")).hexdigest()[:16]
