"""A worker's world with the shipped network and real objects, for what is done again with a result."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from service.cli.workshops import recipe_from
from service.core.norms import NormTable
from service.core.status import OutputKind
from service.db.session import Sessions, reading
from service.db.tables import Analysis, Delivery, Event, Output
from service.dicom.spool import Spool
from service.dicom.synthesis import write_phantom
from service.pipeline import attempt, close, run
from service.pipeline.analyse import Workshop
from service.pipeline.close import Closing
from service.pipeline.job import Job, Outcome
from service.pipeline.rescoring import order_rescore
from service.settings import load
from tests.make import network
from tests.make.peers import fake_peer
from tests.make.received import NOW, take_in

QUIET = timedelta(seconds=60)
#: A small phantom that the shipped network measures within a second.
SHAPE: dict[str, Any] = {
    "slices": 12,
    "rows": 128,
    "columns": 144,
    "spacing_mm": (2.4, 2.2),
    "slice_step_mm": 8.0,
}
WANTED = (OutputKind.SEG, OutputKind.SR, OutputKind.SC, OutputKind.PDF)


def workshop(**changes: Any) -> Workshop:
    """The shipped network, as the service has it."""
    made = recipe_from(load(), for_peers=True)()
    return replace(made, **{"segmenter": network.workshop().segmenter, **changes})


def blind(made: Workshop, **changes: Any) -> Workshop:
    """The same with a network that may be asked who it is, but not to draw."""

    def segment(_volume: object) -> None:
        raise AssertionError("the network was asked")

    own = made.segmenter
    segmenter = SimpleNamespace(
        card=own.card, provider=own.provider, precision=own.precision, segment=segment
    )
    return replace(made, segmenter=segmenter, **changes)


def shifted(made: Workshop, factor: float = 1.3) -> Workshop:
    """The same with the fat table's median raised."""

    def other(table: NormTable) -> NormTable:
        knots = {sex: tuple(replace(k, m=k.m * factor) for k in of) for sex, of in table.knots.items()}
        return replace(table, version="9", sha256="f" * 64, knots=knots)

    norms = [other(table) if table.measure == "imat_fraction" else table for table in made.norms]
    return replace(made, norms=tuple(norms))


class World:
    """One installation, whose clock the test moves."""

    def __init__(self, sessions: Sessions, home: Path) -> None:
        self.sessions, self.home, self.now = sessions, home, NOW
        self.spool = Spool(home / "spool")
        self.peer = fake_peer()

    def receive(self, folder: Path, **changes: Any) -> int:
        """Take in one phantom; its analysis, which waits."""
        return self.take_in(write_phantom(folder, **{**SHAPE, **changes}))

    def take_in(self, images: Sequence[Path]) -> int:
        """Take in the images of one analysis, which waits."""
        take_in(self.sessions, self.spool, images, now=self.now)
        self.now += QUIET
        closing = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
        (made,) = close.close_series(self.sessions, self.spool, now=self.now, closing=closing)
        return made

    def run(self, analysis_id: int, made: Workshop, *, after_review: bool = False) -> run.Published | None:
        """Do one analysis in this process; what it takes and gives is made text on the way."""

        def perform(job: Job, _wanted: Callable[[], bool]) -> Outcome:
            job = Job.from_dict(json.loads(json.dumps(job.as_dict())))
            outcome = attempt.attempt(job, made)
            return Outcome.from_dict(json.loads(json.dumps(outcome.as_dict())), out=job.out)

        bench = run.Bench(
            home=self.home,
            spool=self.spool,
            destinations=[replace(self.peer.destination(outputs=WANTED), after_review=after_review)],
            terms=run.Terms(max_attempts=1, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner="worker",
            clock=lambda: self.now,
        )
        return run.run(self.sessions, analysis_id, perform, bench)

    def order_rescore(self, analysis_id: int) -> int | None:
        """Order new scores, as a page, a program or the command does."""
        return order_rescore(self.sessions, analysis_id, home=self.home, now=self.now)

    def all_of(self, table: Any) -> list[Any]:
        with reading(self.sessions) as db:
            return list(db.scalars(select(table).order_by(table.id)))

    def row(self, analysis_id: int) -> Analysis:
        return next(row for row in self.all_of(Analysis) if row.id == analysis_id)

    def states(self) -> list[str]:
        return [row.state for row in self.all_of(Analysis)]

    def events(self, name: str) -> list[Event]:
        return [row for row in self.all_of(Event) if row.name == name]

    def objects(self, analysis_id: int) -> dict[str, Output]:
        """The objects of one version by kind; one variant is made here."""
        return {row.kind: row for row in self.all_of(Output) if row.analysis_id == analysis_id}

    def deliver_all(self) -> None:
        with self.sessions.begin() as db:
            for row in db.scalars(select(Delivery)):
                row.state = "sent"

    def read(self, output: Output) -> bytes:
        return (self.home / output.path).read_bytes()
