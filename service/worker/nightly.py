"""The self-test by the clock, and clearing up after self-tests that did not."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from service.db import selftests
from service.db.session import Sessions, reading
from service.dicom import scu, tls
from service.errors import InvalidRequest
from service.pipeline import selftest
from service.settings import Settings

log = logging.getLogger(__name__)

#: It is begun within this time of the day, or not at all.
WINDOW = timedelta(hours=1)
#: Addresses that stand for every address of the machine.
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def address_of(settings: Settings, *, host: str = "") -> scu.Address:
    """Where the receiver listens; by TLS, with our own certificate, where it speaks nothing else."""
    secure = None
    if not settings.plain_listener:
        ring = tls.keyring(tls.TlsFiles(**(settings.tls_files or {})))
        secure = tls.outgoing(settings.tls_files, tls=True, subjects=(ring.subject(),))
    own = "127.0.0.1" if settings.dicom_bind in EVERYWHERE else settings.dicom_bind
    return scu.Address(
        host=host or own,
        port=settings.tls_port if secure else settings.dicom_port,
        ae_title=settings.ae_title,
        calling_ae=selftest.SELF_TEST_AE,
        tls=secure,
    )


def is_due(sessions: Sessions, at: time, *, now: datetime) -> bool:
    """Whether it is time, and no self-test was begun since."""
    due = datetime.combine(now.date(), at, tzinfo=UTC)
    if not due <= now < due + WINDOW:
        return False
    with reading(sessions) as session:
        return not selftests.begun_since(session, due)


def errand(settings: Settings, sessions: Sessions) -> Callable[[], None]:
    """What the worker does about self-tests every now and then."""
    at = None if settings.self_test_at is None else time.fromisoformat(settings.self_test_at)

    def look_after_self_tests() -> None:
        now = datetime.now(UTC)
        selftest.clear_up(sessions, settings.home, now=now)
        if at is not None and is_due(sessions, at, now=now):
            _run(settings, sessions)

    return look_after_self_tests


def _run(settings: Settings, sessions: Sessions) -> None:
    terms = selftest.Terms(seconds=settings.quiet_seconds + selftest.Terms().seconds)
    try:
        selftest.run(
            sessions,
            settings.home,
            address_of(settings),
            peers=(),
            terms=terms,
            clock=lambda: datetime.now(UTC),
        )
    except InvalidRequest as error:  # Another worker was faster.
        log.info("self_test_not_begun", extra={"code": error.reason.code})
