"""The door that listens for DICOM."""

import logging
import signal
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType

from service.db.session import Sessions, make_sessions, require_current
from service.dicom.callers import Caller, CallerList
from service.dicom.scp import Listener, Received, Receiver, Refused, Rejected
from service.dicom.spool import Spool
from service.errors import ConfigurationError
from service.files import make_private_dir
from service.pipeline import intake
from service.pipeline.presence import Presence
from service.settings import Settings

log = logging.getLogger(__name__)

#: How long senders may finish when the door closes; a sender that is cut off sends again.
FINISH_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Door:
    """An open receiver."""

    receiver: Receiver
    sessions: Sessions

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self.receiver.port

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
    spool = Spool(settings.spool_dir, min_free_mb=settings.spool_min_free_mb)
    spool.sweep_parts()

    def on_instance(received: Received) -> None:
        intake.record_instance(sessions, spool, received, now=datetime.now(UTC))

    def on_refused(refused: Refused) -> None:
        intake.count_refused(sessions, refused)

    def on_rejected(rejected: Rejected) -> None:
        intake.record_rejected(sessions, rejected, now=datetime.now(UTC))

    try:
        receiver = Receiver(
            ae_title=settings.ae_title,
            host=settings.dicom_bind,
            port=settings.dicom_port,
            max_associations=settings.max_associations,
            callers=CallerList(
                callers(settings), ae_title=settings.ae_title, loopback=settings.loopback_may_send
            ),
            spool=spool,
            listener=Listener(on_instance=on_instance, on_refused=on_refused, on_rejected=on_rejected),
        )
    except OSError as error:
        raise ConfigurationError(
            f"Port {settings.dicom_port} cannot be listened on: {error.strerror}.", reason="port_taken"
        ) from error
    log.info("receiver_listens", extra={"port": receiver.port})
    return Door(receiver=receiver, sessions=sessions)


def callers(settings: Settings) -> list[Caller]:
    """The peers of the settings, as far as letting in goes."""
    return [
        Caller(
            name=peer.name,
            ae_title=peer.ae_title,
            host=peer.host,
            may_send=peer.may_send,
            unwanted=peer.unwanted,
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
    door = open_door(settings)
    with Presence(door.sessions, "receiver"):
        while not asked_to_end.wait(1.0):
            pass
        door.receiver.close_door()
    door.close()
