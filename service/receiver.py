"""The door that listens for DICOM."""

import gc
import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

from service import tracing
from service.db.session import Sessions, make_sessions, require_current
from service.dicom import commitment, reporting, tls
from service.dicom.callers import Caller, CallerList
from service.dicom.performed import OnStep, Said
from service.dicom.scp import Bounds, Listener, Received, Receiver, Refused, Rejected
from service.dicom.spool import Spool
from service.errors import ConfigurationError
from service.files import make_private_dir
from service.pipeline import (
    commit,
    confirm,
    deliver,
    edited_intake,
    intake,
    performed,
    rejections,
    selftest,
    traces,
)
from service.pipeline.presence import Presence
from service.settings import Peer, Settings

log = logging.getLogger(__name__)

#: How long senders may finish when the door closes; a sender that is cut off sends again.
FINISH_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Door:
    """An open receiver."""

    receiver: Receiver
    sessions: Sessions
    spool: Spool
    keyring: tls.Keyring | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self.receiver.port

    def detail(self) -> dict[str, Any]:
        """For the status page: ports, whether images are refused, and how the certificate of DICOM TLS is."""
        told = {"ports": list(self.receiver.ports), "spool_full": not self.spool.room.look()}
        return told if self.keyring is None else {**told, "tls": self.keyring.state()}

    def close(self, *, finish_seconds: float = FINISH_SECONDS) -> None:
        """Let nobody in any more, give senders time to finish, and end."""
        self.receiver.close_door()
        limit = time.monotonic() + finish_seconds
        while self.receiver.associations() and time.monotonic() < limit:
            time.sleep(0.05)
        self.receiver.stop()
        self.sessions.kw["bind"].dispose()


def open_door(settings: Settings) -> Door:
    """Start listening, and return at once."""
    require_current(settings.resolved_database_url)
    make_private_dir(settings.home)
    sessions = make_sessions(settings.resolved_database_url)
    spool = Spool(
        settings.spool_dir,
        min_free_mb=settings.spool_min_free_mb,
        resume_free_mb=settings.resume_free_mb,
    )
    spool.sweep_parts()
    spool.make_folders()
    recorder = intake.Recorder(sessions, spool)

    visits = traces.Visits(sessions)

    def on_instance(received: Received) -> None:
        began = traces.now()
        recorder.record(received)
        visits.note(received.identity.series_uid, received.calling_ae, began)

    def on_refused(refused: Refused) -> None:
        intake.count_refused(sessions, refused)

    def on_rejected(rejected: Rejected) -> None:
        rejections.record_rejected(sessions, rejected, now=datetime.now(UTC))

    keyring = None if settings.tls_files is None else tls.keyring(tls.TlsFiles(**settings.tls_files))
    try:
        receiver = Receiver(
            host=settings.dicom_bind,
            port=settings.dicom_port if settings.plain_listener else None,
            tls_port=settings.tls_port if keyring is not None else None,
            keyring=keyring,
            callers=CallerList(
                callers(settings),
                ae_title=settings.ae_title,
                loopback=settings.loopback_may_send,
                self_test=lambda: selftest.expected_study(sessions, now=datetime.now(UTC)),
                own_address=settings.dicom_bind,
            ),
            spool=spool,
            listener=Listener(
                on_instance=on_instance,
                on_refused=on_refused,
                on_rejected=on_rejected,
                on_edit=edited_intake.taker(sessions) if any(peer.edits for peer in settings.peer) else None,
                on_report=reporter(settings, sessions) if _reports(settings) else None,
                desk=commitment_desk(settings, sessions, spool),
                on_step=step_taker(settings, sessions),
                on_left=visits.end,
            ),
            bounds=Bounds(
                associations=settings.max_associations,
                idle_seconds=settings.association_idle_seconds,
                object_bytes=settings.max_instance_mb * 1_000_000,
            ),
        )
    except OSError as error:
        ports = f"{settings.dicom_port} or {settings.tls_port}" if keyring else str(settings.dicom_port)
        raise ConfigurationError(
            f"Port {ports} cannot be listened on: {error.strerror}.", reason="port_taken"
        ) from error
    for port in receiver.ports:
        log.info("receiver_listens", extra={"port": port})
    return Door(receiver=receiver, sessions=sessions, spool=spool, keyring=keyring)


def reporter(settings: Settings, sessions: Sessions) -> Callable[[reporting.Report], int]:
    """Takes in what peers report on storage commitments; a peer speaks for all names it has here."""
    terms = _terms(settings)

    def on_report(report: reporting.Report) -> int:
        caller = report.caller
        names = [peer.name for peer in _namesakes(settings, caller)]

        def take(said: commitment.Report) -> bool:
            return confirm.take_report(sessions, names, said, terms=terms, now=datetime.now(UTC))

        return commitment.handle_report(
            report.dataset, report.event_type_id, syntax=report.transfer_syntax_uid, on_report=take
        )

    return on_report


def _terms(settings: Settings) -> deliver.Terms:
    """How patiently peers are spoken to."""
    return deliver.Terms(
        attempts=settings.delivery_attempts,
        backoff=timedelta(seconds=settings.delivery_backoff_seconds),
        backoff_max=timedelta(seconds=settings.delivery_backoff_max_seconds),
        beat_seconds=settings.lease_seconds,
    )


def commitment_desk(settings: Settings, sessions: Sessions, spool: Spool) -> commit.Desk:
    """Takes questions about storage commitment; a sender with several blocks asks by the first that may."""

    def requester(caller: Caller) -> commit.Requester:
        peer = next(peer for peer in _namesakes(settings, caller) if peer.commitment_scp)
        return commit.Requester(
            name=peer.name, answer_seconds=peer.answer_seconds, has_port=peer.port is not None
        )

    return commit.Desk(
        sessions=sessions,
        spool=spool,
        terms=commit.Terms(delivery=_terms(settings)),
        requester=requester,
        clock=lambda: datetime.now(UTC),
    )


def step_taker(settings: Settings, sessions: Sessions) -> OnStep:
    """Takes what scanners say that they made; one with several blocks says it by the first that may."""

    def on_step(said: Said) -> int:
        peer = next(peer for peer in _namesakes(settings, said.caller) if peer.mpps_scp)
        return performed.take(sessions, peer.name, said, now=datetime.now(UTC))

    return on_step


def _namesakes(settings: Settings, caller: Caller | Peer) -> list[Peer]:
    """Every block of the settings with this AE title and address."""
    return [peer for peer in settings.peer if (peer.ae_title, peer.host) == (caller.ae_title, caller.host)]


def _reports(settings: Settings) -> bool:
    """Whether any peer is asked for storage commitments."""
    return any(peer.confirm == "commitment" for peer in settings.peer)


def callers(settings: Settings) -> list[Caller]:
    """The peers of the settings, as far as letting in goes."""
    return [
        Caller(
            name=peer.name,
            ae_title=peer.ae_title,
            host=peer.host,
            may_send=peer.may_send,
            may_report=peer.confirm == "commitment",
            may_ask=any(each.commitment_scp for each in _namesakes(settings, peer)),
            may_perform=any(each.mpps_scp for each in _namesakes(settings, peer)),
            may_edit=peer.edits,
            unwanted=peer.unwanted,
            tls=peer.tls,
            tls_subject=peer.tls_subject,
        )
        for peer in settings.peer
    ]


def serve(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT."""
    asked_to_end = threading.Event()

    def end(number: int, _frame: FrameType | None) -> None:
        log.info("receiver_ends", extra={"signal": number})
        asked_to_end.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    tracing.start(settings.tracing_target, door="receiver")
    door = open_door(settings)
    # What was loaded stays: the collector need not look through it again and again (7 % of the time).
    gc.collect()
    gc.freeze()
    with Presence(door.sessions, "receiver", detail=door.detail):
        while not asked_to_end.wait(1.0):
            pass
        door.receiver.close_door()
    door.close()
    tracing.stop()
