"""`myoscreen demo`: the whole service played through with one series."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

import typer

from service.cli.doors import dashboard_url
from service.core.status import TERMINAL, AnalysisState, DeliveryState, OutputKind
from service.db.lookup import AnalysisProgress, study_progress
from service.db.session import Sessions, make_sessions, reading
from service.dicom import scu
from service.dicom.archive import Archive
from service.dicom.series import scan
from service.dicom.synthesis import write_phantom
from service.errors import DemonstrationFailed, PeerUnreachable
from service.settings import Peer, Settings, child_environment, load

PEER_NAME = "demo-archive"
AE_TITLE = "MYODEMO"
#: Enough for one series on a slow machine; a demonstration must not hang.
START_SECONDS = 60.0
RESULT_SECONDS = 180.0
QUIET_SECONDS = "2"
WANTED = frozenset({OutputKind.SEG, OutputKind.SR, OutputKind.SC, OutputKind.PDF})


def demo(
    series: Annotated[
        Path | None, typer.Option(help="Folder of DICOM to play; the phantom when absent.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End when the results came back.")] = False,
    archive_port: Annotated[
        int, typer.Option(help="Port of the small archive that results return to.")
    ] = 11113,
) -> None:
    """Start everything, send one series to it, and wait for SEG, SR, capture and PDF to come back."""
    if series is not None and not series.exists():
        raise DemonstrationFailed(f"There is nothing at {series}.", reason="no_such_path")
    settings = load()
    # Ended from outside, the processes that were started here must end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    archive = Archive(settings.home / "demo-archive", ae_title=AE_TITLE).start(archive_port)
    steps = _Steps()
    try:
        with _service(settings, archive_port), tempfile.TemporaryDirectory() as scratch:
            _wait_for("the service to start", START_SECONDS, lambda: _is_up(settings))
            steps.done("start of the service")
            paths = scu.find_files(series) if series else _new_phantom(settings, Path(scratch))
            study_uid = _send(paths, settings)
            steps.done(f"making and sending {len(paths)} images")
            analysis = _await_results(settings, study_uid)
            steps.done(f"quiet time ({QUIET_SECONDS} s), analysis and delivery")
            _tell(analysis, archive, study_uid, settings, steps)
            if not once:
                typer.echo("running; end with Ctrl-C")
                _sleep_until_interrupted()
    finally:
        archive.stop()


def _new_phantom(settings: Settings, scratch: Path) -> list[Path]:
    """A phantom that this installation has not seen, so that every demonstration is a whole one."""
    sessions = make_sessions(settings.resolved_database_url)
    seed = 1
    while True:
        paths = write_phantom(scratch / str(seed), seed=seed)
        if not _progress(sessions, scan(paths).stacks[0].facts.study_uid):
            return paths
        seed += 1


@contextmanager
def _service(settings: Settings, archive_port: int) -> Iterator[None]:
    """`myoscreen serve` as a child, with the small archive as one more peer."""
    archive = Peer(
        name=PEER_NAME,
        ae_title=AE_TITLE,
        host="127.0.0.1",
        port=archive_port,
        outputs=("SEG", "SR", "SC", "PDF"),
        flags=True,
    )
    others = [peer.model_dump(mode="json") for peer in settings.peer if peer.name != PEER_NAME]
    environment = child_environment(
        peer=json.dumps([*others, archive.model_dump(mode="json")]),
        quiet_seconds=QUIET_SECONDS,
        home=str(settings.home),
        # The archive must not shut out who could send without it.
        **({} if settings.peer else {"loopback_may_send": "true"}),
    )
    child = subprocess.Popen([sys.executable, "-m", "service.cli", "serve"], env=environment)
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()


def _is_up(settings: Settings) -> bool:
    """Whether the receiver answers C-ECHO, and the dashboard that it is ready."""
    try:
        scu.echo(_address(settings))
        with urlopen(f"{dashboard_url(settings)}/readyz", timeout=5) as answer:  # noqa: S310 - our own URL # nosec B310
            return bool(answer.status == HTTPStatus.OK)
    except (PeerUnreachable, OSError):
        return False


def _address(settings: Settings) -> scu.Address:
    return scu.Address(
        host="127.0.0.1", port=settings.dicom_port, ae_title=settings.ae_title, calling_ae=AE_TITLE
    )


def _send(paths: list[Path], settings: Settings) -> str:
    """Send the files; returns the study that the first stack belongs to."""
    stacks = scan(paths).stacks
    if not stacks:
        raise DemonstrationFailed("There are no DICOM images to send.", reason="no_images")
    images = [path for path in paths if scu.file_uids(path) is not None]
    outcomes = scu.store(images, _address(settings))
    refused = [outcome for outcome in outcomes if not outcome.stored]
    if refused:
        raise DemonstrationFailed(
            f"{len(refused)} of {len(outcomes)} images were not accepted.", reason="not_accepted"
        )
    return stacks[0].facts.study_uid


def _await_results(settings: Settings, study_uid: str) -> AnalysisProgress:
    """The first analysis of the study whose four objects arrived; raises with the reason if none can."""
    sessions = make_sessions(settings.resolved_database_url)
    seen: list[AnalysisProgress] = []

    def settled() -> bool:
        seen[:] = _progress(sessions, study_uid)
        if any(_is_delivered(analysis) for analysis in seen):
            return True
        return bool(seen) and all(_cannot_deliver(analysis) for analysis in seen)

    _wait_for("the results", RESULT_SECONDS, settled)
    for analysis in seen:
        if _is_delivered(analysis):
            return analysis
    reasons = "; ".join(f"{analysis.state}: {analysis.reason_text}" for analysis in seen)
    raise DemonstrationFailed(f"No complete result came back ({reasons}).", reason="no_result")


def _progress(sessions: Sessions, study_uid: str) -> list[AnalysisProgress]:
    with reading(sessions) as session:
        return study_progress(session, study_uid=study_uid, peer=PEER_NAME)


def _is_delivered(analysis: AnalysisProgress) -> bool:
    arrived = {DeliveryState.SENT, DeliveryState.CONFIRMED}
    return {kind for kind, state in analysis.deliveries.items() if state in arrived} >= WANTED


def _cannot_deliver(analysis: AnalysisProgress) -> bool:
    """Whether waiting longer for this analysis is in vain."""
    over = analysis.state in TERMINAL and analysis.state != AnalysisState.MEASURED
    return over or DeliveryState.DEAD in analysis.deliveries.values()


def _tell(
    analysis: AnalysisProgress, archive: Archive, study_uid: str, settings: Settings, steps: "_Steps"
) -> None:
    """What came back, where to look, and where the time went."""
    arrived = len(archive.result_classes(study_uid))
    typer.echo(f"results: {', '.join(sorted(analysis.deliveries))} delivered ({arrived} objects arrived now)")
    typer.echo(f"page:    {dashboard_url(settings)}/analyses/{analysis.analysis_id}")
    for line in steps.lines:
        typer.echo(line)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def _wait_for(what: str, seconds: float, ready: Callable[[], bool]) -> None:
    """Ask until it is so; raises DemonstrationFailed when the time is over."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise DemonstrationFailed(f"Waited {seconds:.0f} s for {what} in vain.", reason="timeout")
        time.sleep(0.1)


def _sleep_until_interrupted() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        typer.echo("ending")


class _Steps:
    """Where the time went."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._last = time.monotonic()

    def done(self, step: str) -> None:
        """Note the time since the step before."""
        now = time.monotonic()
        self.lines.append(f"time:    {now - self._last:6.1f} s  {step}")
        self._last = now
