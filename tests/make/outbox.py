"""Finished results with objects that wait for peers."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage
from sqlalchemy import select

from service import files
from service.core.circuit import CircuitTerms
from service.core.status import OutputKind
from service.db import circuits, confirmations, deliveries, ledger, queries, versions
from service.db.session import Sessions, make_sessions, reading, upgrade
from service.db.tables import AuditEntry, Delivery, Event, Series
from service.dicom import scu
from service.pipeline import confirm, deliver
from service.pipeline.deliver import Destination
from tests.make.received import NOW, instance, measured_result, set_input
from tests.make.series import mr_slice, save

TERMS = deliver.Terms(
    attempts=3,
    backoff=timedelta(seconds=4),
    backoff_max=timedelta(seconds=60),
    beat_seconds=60,
    circuit=CircuitTerms(failures=3, probe=timedelta(seconds=30), probe_max=timedelta(seconds=120)),
)
CONFIRM = confirm.Terms(delivery=TERMS, patience=timedelta(hours=1), attempts=2)
#: Longer than any wait before a circuit opens.
LATER = TERMS.backoff_max
CLASSES = {OutputKind.SEG: SegmentationStorage, OutputKind.SC: SecondaryCaptureImageStorage}


#: Label Map Segmentation Storage.
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"


#: Any class beside those, here MR Image Storage.
PAGE = "1.2.840.10008.5.1.4.1.1.4"


class Outbox:
    """A ledger with results of two objects each, and a clock that the test moves."""

    def __init__(self, sessions: Sessions, home: Path) -> None:
        self.sessions, self.home, self.now = sessions, home, NOW
        self.paths: dict[tuple[int, OutputKind], Path] = {}

    def add(self, number: int = 1, *, peers: Sequence[str] = ("pacs",), **changes: Any) -> int:
        """One more finished result for these peers; its objects are 1.9.NUMBER.1 and 1.9.NUMBER.2."""
        uid = f"1.2.3.{number}.1"
        with self.sessions.begin() as session:
            ledger.record_instance(session, instance(study=number), now=NOW)
            series = session.execute(select(Series.id, Series.study_id).where(Series.series_uid == uid)).one()
            (made,) = versions.make_ready(
                session,
                study_id=series.study_id,
                series_ids=[series.id],
                sets=[set_input(series.id, 0, f"d{number}")],
                now=NOW,
            )
            claim = queries.claim_analysis(session, made, owner="x", now=NOW)
            assert claim is not None
            queries.save_finding(session, claim, measured_result(input_digest=f"d{number}"), now=NOW)
            outputs = [
                self._object(made, kind, f"1.9.{number}.{place}", **changes)
                for place, kind in enumerate(CLASSES, 1)
            ]
            rows = deliveries.add_outputs(session, made, outputs)
            for peer in peers:
                deliveries.plan(session, rows, peer=peer, kinds=tuple(CLASSES), now=NOW)
        return made

    def add_variants(self, *names: str, peer: str = "pacs", number: int = 1) -> int:
        """A result whose objects were made in each of these variants; the first waits for the peer.

        Beside those each has a page, which all of them share; its identifier ends in 9.
        """
        made = self.add(number, peers=())
        outputs: list[deliveries.OutputFacts] = []
        for name in names:
            for place, kind in enumerate(CLASSES, 1):
                packed = kind is OutputKind.SEG and "labelmap" in name
                changes = {"SOPClassUID": LABEL_MAP} if packed else {}
                facts = self._object(made, kind, f"1.9.{number}{len(outputs)}.{place}", **changes)
                outputs.append(replace(facts, variants=(name,)))
        shared = self._object(made, OutputKind.GSPS, f"1.9.{number}{len(outputs)}.9")
        outputs.append(replace(shared, variants=names))
        with self.sessions.begin() as session:
            deliveries.add_outputs(session, made, outputs)
            rows = deliveries.outputs_of(session, made, names[0])
            deliveries.plan(session, rows, peer=peer, kinds=tuple(kind for kind, _ in rows), now=NOW)
        return made

    def _object(self, analysis_id: int, kind: OutputKind, uid: str, **changes: Any) -> deliveries.OutputFacts:
        path = save(
            mr_slice(**{"SOPClassUID": CLASSES.get(kind, PAGE), "SOPInstanceUID": uid, **changes}),
            self.home / "results" / str(analysis_id) / f"{kind}{uid}.dcm",
        )
        self.paths[analysis_id, kind] = path
        sop_class, _ = scu.file_uids(path) or ("", "")
        return deliveries.OutputFacts(
            kind=kind,
            sop_class_uid=sop_class,
            sop_instance_uid=uid,
            path=str(path.relative_to(self.home)),
            sha256=files.sha256_of(path),
            size=path.stat().st_size,
        )

    def send(
        self, analysis_id: int, to: Destination, *, terms: deliver.Terms = TERMS
    ) -> deliver.Report | None:
        """Send what is due of one result."""
        return deliver.run(
            self.sessions, analysis_id, to, home=self.home, terms=terms, clock=lambda: self.now
        )

    def ask(self, analysis_id: int, of: Destination) -> bool:
        """Ask about what is due of one result."""
        return confirm.run(
            self.sessions, analysis_id, of, home=self.home, terms=CONFIRM, clock=lambda: self.now
        )

    def wait(self, time: timedelta = LATER) -> None:
        """Let time pass."""
        self.now += time

    def rows(self, peer: str | None = None) -> list[Delivery]:
        """All deliveries, in order."""
        with reading(self.sessions) as session:
            found = session.scalars(select(Delivery).order_by(Delivery.id)).all()
        return [row for row in found if peer in (None, row.peer)]

    def states(self, peer: str | None = None) -> list[tuple[str, int | None, str | None]]:
        """State, DIMSE status and error code of each delivery."""
        return [(row.state, row.dimse_status, row.error_code) for row in self.rows(peer)]

    def due(self, *peers: str) -> list[tuple[int, str]]:
        """Analysis and peer of everything that may go now."""
        with reading(self.sessions) as session:
            due = deliveries.due(session, peers=peers or ("pacs",), now=self.now, terms=TERMS.circuit)
        return [(analysis_id, peer) for _, analysis_id, peer in due]

    def to_ask(self, *peers: str) -> int:
        """How many results a peer may be asked about now."""
        with reading(self.sessions) as session:
            return len(confirmations.due(session, peers=peers or ("pacs",), now=self.now))

    def circuit(self, peer: str = "pacs") -> circuits.CircuitFacts:
        """What is known of the peer."""
        with reading(self.sessions) as session:
            return circuits.all_circuits(session)[peer]

    def events(self) -> list[str]:
        """Names of the events about deliveries and peers, oldest first."""
        with reading(self.sessions) as session:
            names = session.scalars(select(Event.name).order_by(Event.id)).all()
        return [name for name in names if name.startswith(("delivery", "peer"))]

    def audited(self, action: str) -> list[AuditEntry]:
        """Lines of the audit record with this action."""
        with reading(self.sessions) as session:
            return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


@cache
def _empty() -> bytes:
    """A SQLite database at the current revision; made once, because migrations take their time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "myoscreen.db"
        upgrade(f"sqlite:///{path}")
        return path.read_bytes()


@contextmanager
def sqlite_outbox(home: Path) -> Iterator[Outbox]:
    """An outbox on SQLite."""
    home.mkdir(mode=0o700)
    (home / "myoscreen.db").write_bytes(_empty())
    sessions = make_sessions(f"sqlite:///{home / 'myoscreen.db'}")
    try:
        yield Outbox(sessions, home)
    finally:
        sessions.kw["bind"].dispose()
