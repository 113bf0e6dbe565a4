"""A sender that forgets an image only after SUCCESS, as a scanner does."""

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pydicom
from pynetdicom import AE
from pynetdicom.transport import AssociationSocket


class Sender:
    """Sends images again until each was answered with SUCCESS."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sender")
        self._future: Future[None] | None = None
        #: SOP instance UIDs that were answered with SUCCESS.
        self.promised: set[str] = set()

    def send_in_background(self, paths: list[Path]) -> None:
        """Begin to send; ``join`` waits for the end."""
        self._future = self._pool.submit(self.send, paths)

    @property
    def is_free(self) -> bool:
        """Whether nothing is being sent."""
        return self._future is None or self._future.done()

    def join(self) -> None:
        """Wait until what was begun is sent; raises what went wrong."""
        if self._future is not None:
            self._future.result()

    def send(self, paths: list[Path], *, seconds: float = 300) -> None:
        """Send all of these, in as many associations as it takes."""
        limit = time.monotonic() + seconds
        waiting = list(paths)
        while waiting:
            waiting = self._try(waiting)
            assert time.monotonic() < limit, f"{len(waiting)} images were never taken"
            if waiting:
                time.sleep(0.1)

    def _try(self, paths: list[Path]) -> list[Path]:
        """What is left of these after one association."""
        application = AE(ae_title="SENDER")
        # How long an answer is waited for, also where the receiver was killed before it gave one.
        application.dimse_timeout = 5
        # Also how long the end of a broken association is waited for.
        application.acse_timeout = application.network_timeout = 3
        datasets = [pydicom.dcmread(path) for path in paths]
        for dataset in datasets:
            syntax = dataset.file_meta.TransferSyntaxUID
            if not any(c.abstract_syntax == dataset.SOPClassUID for c in application.requested_contexts):
                application.add_requested_context(dataset.SOPClassUID, syntax)
        association = application.associate("127.0.0.1", self._port, ae_title="MYOSCREEN")
        if not association.is_established:
            return paths
        left = []
        for path, dataset in zip(paths, datasets, strict=True):
            try:
                status = association.send_c_store(dataset) if association.is_established else None
            except (RuntimeError, ValueError, OSError):
                status = None
            if status is not None and status.get("Status") == 0:
                self.promised.add(str(dataset.SOPInstanceUID))
            else:
                left.append(path)
        if association.is_established:
            association.release()
        else:
            association.abort()
        return left


def _shut(end: AssociationSocket) -> None:
    """Close the socket; left to itself the library leaves it open where the other end broke off."""
    if end.socket is not None:
        with suppress(OSError):
            end.socket.shutdown(socket.SHUT_RDWR)
        end.socket.close()


AssociationSocket._shutdown_socket = _shut
