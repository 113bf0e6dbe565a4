"""The verb "tell": what is wrong becomes messages that wait in the ledger until they are sent.

A message is written in the transaction in which it is noted that it was told, and sent later: a mail server
that is away delays it and loses nothing. It may come twice, when a process dies between sending it and
writing that down; its id is the same then.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from service.core.notice import Day, Sender, of_day, of_opening, of_test, of_troubles
from service.core.trouble import ORDER, Limits, Severity, Trouble, find_troubles
from service.db import notices, openings, selftests
from service.db.notices import Letter
from service.db.overview import DatabaseTrouble
from service.db.session import Sessions
from service.errors import DeliveryError
from service.pipeline import vitals
from service.wire import mail, webhook
from service.wire.mail import MailAddress
from service.wire.webhook import HookAddress

log = logging.getLogger(__name__)

#: How often it is looked whether something is wrong, and whether a message waits. Chosen by us: a quarter of
#: the shortest time after which trouble is told by the usual settings.
EVERY = timedelta(seconds=30)
#: A digest is sent within this time of the day, or not at all: yesterday's is of no use.
DIGEST_WINDOW = timedelta(hours=1)
DAY = timedelta(days=1)
#: Between tries, doubled up to the longest; after so many a message is given up. Together a day, chosen by
#: us: what is older than that, the next digest tells.
BACKOFF, BACKOFF_MAX, ATTEMPTS = timedelta(minutes=1), timedelta(hours=4), 14
#: A sender that has a message for longer than this has died.
LEASE = timedelta(minutes=5)
#: Would be told by the very way that does not work.
UNTOLD: Final = ("notices_unsent",)


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """Somebody who is told."""

    name: str
    sender: Sender
    way: MailAddress | HookAddress
    least: Severity = Severity.WARNING
    after: timedelta = timedelta(minutes=2)
    #: When the daily report is sent (UTC).
    digest: time | None = None


class Notifier:
    """One process's part in telling; several may run at once without telling twice."""

    def __init__(
        self,
        sessions: Sessions,
        recipients: Sequence[Recipient],
        *,
        site: Callable[[], vitals.Site],
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._recipients = {each.name: each for each in recipients}
        self._site = site
        self._limits = limits
        self._clock = clock
        self._running = threading.Lock()

    def run(self) -> None:
        """Look, and send what is due; a run that is under way is not doubled, and trouble here is logged."""
        if not self._running.acquire(blocking=False):
            return
        try:
            self.look()
            self.send_due()
        except (DatabaseTrouble, OSError):
            # Nothing can be noted without the database: monitoring from outside tells of that.
            log.exception("notifications_failed")
        finally:
            self._running.release()

    def look(self) -> None:
        """Judge what is wrong, and write the messages that follow."""
        now = self._clock()
        known = vitals.look(self._sessions, self._site(), now=now)
        if not known.database:
            return
        found = [each for each in find_troubles(known, self._limits) if each.code not in UNTOLD]
        with self._sessions.begin() as session:
            notices.forget_others(session, list(self._recipients))
        for recipient in self._recipients.values():
            self._tell(recipient, found, now=now)
            self._tell_openings(recipient, now=now)
            self._report(recipient, now=now)

    def _tell(self, recipient: Recipient, found: Sequence[Trouble], *, now: datetime) -> None:
        """One message about all that began and ended for one recipient."""
        least = ORDER.index(recipient.least)
        troubles = [each for each in found if ORDER.index(each.severity) >= least]
        with self._sessions.begin() as session:
            news = notices.judge(
                session, recipient.name, troubles, after=recipient.after, every=EVERY / 2, now=now
            )
            if news.began or news.ended:
                message = of_troubles(recipient.sender, news.began, news.ended, now=now)
                notices.add(session, recipient.name, message, now=now)

    def _tell_openings(self, recipient: Recipient, *, now: datetime) -> None:
        """One message about each time that results were opened with a reason; it counts as a warning."""
        if recipient.least == Severity.CRITICAL:
            return
        with self._sessions.begin() as session:
            for each in openings.since(session, now - DAY):
                message = of_opening(
                    recipient.sender, number=each.id, role=each.role, until=each.until, now=each.opened_at
                )
                once = f"opening:{recipient.name}:{each.id}"
                notices.add(session, recipient.name, message, now=now, once=once)

    def _report(self, recipient: Recipient, *, now: datetime) -> None:
        """The digest, once a day."""
        if recipient.digest is None:
            return
        due = datetime.combine(now.date(), recipient.digest, tzinfo=now.tzinfo)
        if not due <= now < due + DIGEST_WINDOW:
            return
        once = f"digest:{recipient.name}:{now.date()}"
        with self._sessions.begin() as session:
            last = selftests.last(session)
            ended = None if last is None else last.finished_at
            day = Day(
                counts=notices.day_counts(session, since=now - DAY),
                open=notices.open_now(session, recipient.name),
                self_test=None if last is None else last.outcome,
                self_test_seconds=0.0 if ended is None else (now - ended).total_seconds(),
            )
            notices.add(session, recipient.name, of_day(recipient.sender, day, now=now), now=now, once=once)

    def send_due(self) -> int:
        """Send what waits and is due; how many were sent."""
        count = 0
        while True:
            now = self._clock()
            with self._sessions.begin() as session:
                letter = notices.claim(session, list(self._recipients), now=now, lease=LEASE)
            if letter is None:
                return count
            count += self._send(letter)

    def _send(self, letter: Letter) -> bool:
        """Send one message, and write down what came of it."""
        try:
            deliver(self._recipients[letter.recipient], letter, now=self._clock())
        except DeliveryError as error:
            now = self._clock()
            wait = min(BACKOFF * 2 ** (letter.attempts - 1), BACKOFF_MAX)
            again_at = now + wait if letter.attempts < ATTEMPTS else None
            log.warning(
                "notification_not_sent", extra={"code": error.reason.code, "attempt": letter.attempts}
            )
            with self._sessions.begin() as session:
                notices.failed(session, letter, code=error.reason.code, again_at=again_at)
            return False
        with self._sessions.begin() as session:
            notices.sent(session, letter, now=self._clock())
        return True


def deliver(recipient: Recipient, letter: Letter, *, now: datetime) -> None:
    """Send one message by the way of its recipient. Raises DeliveryError."""
    message_id = f"myoscreen-{letter.id}-{int(letter.created_at.timestamp())}"
    if isinstance(recipient.way, HookAddress):
        webhook.post(recipient.way, letter.content, message_id=message_id, at=now)
        return
    mail.send(
        recipient.way,
        subject=letter.subject,
        body=letter.body,
        message_id=message_id,
        at=letter.created_at,
    )


def try_out(recipient: Recipient, *, now: datetime) -> None:
    """Send a test message at once, past the ledger. Raises DeliveryError."""
    message = of_test(recipient.sender, now=now)
    letter = Letter(
        id=0,
        recipient=recipient.name,
        subject=message.subject,
        body=message.body,
        content=message.content,
        attempts=1,
        created_at=now,
    )
    deliver(recipient, letter, now=now)
