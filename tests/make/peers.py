"""A DICOM node that answers as a test tells it to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pynetdicom import AE, evt

from service.core.status import OutputKind
from service.dicom.scu import Address
from service.pipeline.deliver import Destination
from tests.make.running import free_port

ALL_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.88.34",
    "1.2.840.10008.5.1.4.1.1.104.1",
)
PLAIN = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@dataclass
class FakePeer:
    """What it got, and what it answers."""

    port: int
    #: Status for the number of the object, from 0.
    answer: Callable[[int], int] = field(default=lambda _number: 0x0000)
    #: SOP instance UID and encoded dataset of each object that it was sent.
    received: list[tuple[str, bytes]] = field(default_factory=list)

    def uids(self) -> list[str]:
        """What it was sent, in order."""
        return [uid for uid, _ in self.received]

    def address(self) -> Address:
        """Where it is."""
        return Address(host="127.0.0.1", port=self.port, ae_title="PEER", calling_ae="MYOSCREEN")

    def destination(self, name: str = "pacs", **changes: Any) -> Destination:
        """It, as somewhere that results are sent to."""
        return Destination(
            **{"name": name, "address": self.address(), "outputs": tuple(OutputKind), **changes}
        )

    def settings(self, name: str = "pacs", **changes: Any) -> dict[str, Any]:
        """It, as a ``[[peer]]``."""
        return {
            "name": name,
            "ae_title": "PEER",
            "host": "127.0.0.1",
            "port": self.port,
            "outputs": ["SEG", "SR", "SC", "PDF"],
            **changes,
        }

    @contextmanager
    def listening(
        self, *, classes: Sequence[str] = ALL_CLASSES, syntaxes: Sequence[str] = PLAIN
    ) -> Iterator[None]:
        """Listen while the block lasts."""
        application = AE(ae_title="PEER")
        for uid in classes:
            application.add_supported_context(uid, list(syntaxes))
        application.add_supported_context("1.2.840.10008.1.1")

        def store(event: evt.Event) -> int:
            dataset = event.request.DataSet
            raw = dataset.getvalue() if isinstance(dataset, BytesIO) else b""
            self.received.append((str(event.request.AffectedSOPInstanceUID), raw))
            return self.answer(len(self.received) - 1)

        server = application.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
        )
        try:
            yield
        finally:
            server.shutdown()
            application.shutdown()


def fake_peer() -> FakePeer:
    """A node on a free port, not listening yet."""
    return FakePeer(port=free_port())
