"""How many images a series has where it came from: the best evidence that it is complete.

A peer may be slow or away, so it is asked beside the sweep, by a thread that writes down what it said. Until
it says something a series is closed as if nobody were asked.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from service.db import ledger
from service.db.ledger import Countable
from service.db.session import Sessions, reading
from service.dicom.counting import count_images
from service.dicom.scu import Address
from service.errors import PeerUnreachable, Reason
from service.wire import dicomweb
from service.wire.dicomweb import WebAddress

log = logging.getLogger(__name__)

#: A series of which nothing came for so long is asked about. Chosen by us: within a series senders pause for
#: milliseconds, but a PACS that passes on what it is itself still receiving counts only what came so far, and
#: scanners send as they reconstruct, with pauses of seconds. Too early an answer would be half a result.
SETTLE = timedelta(seconds=10)
#: The same series is asked about again, while images are missing, after the first time, then after doubled
#: times up to the last. Chosen by us: a minute is a quiet time.
AGAIN, AGAIN_MOST = 4.0, 60.0
#: A peer that did not answer is left alone for the first time, then for doubled times up to the last (as a
#: delivery's circuit does).
AWAY, AWAY_MOST = 30.0, 300.0
#: Series asked about over one association; chosen by us.
AT_A_TIME = 20

NOT_KNOWN = Reason("series_not_known", "The peer did not say how many images the series has.")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A peer that says how many images a series has."""

    name: str
    address: Address | WebAddress


@dataclass
class _Memory:
    """What is remembered of a peer or a series, on the steady clock."""

    times: int = 0
    not_before: float = 0.0

    def wait(self, now: float, *, first: float, most: float) -> None:
        """Leave it alone for a while, and longer each time."""
        self.not_before = now + min(first * 2**self.times, most)
        self.times += 1


_Due = tuple[Countable, _Memory]


@dataclass
class Counting:
    """Asks the peers of one process about series that are arriving."""

    sessions: Sessions
    #: By AE title of the sender.
    peers: Mapping[str, Asked]
    steady_clock: Callable[[], float] = time.monotonic
    _threads: dict[str, threading.Thread] = field(default_factory=dict)
    _peers: dict[str, _Memory] = field(default_factory=dict)
    _series: dict[tuple[int, datetime], _Memory] = field(default_factory=dict)

    def look_after(self, *, now: datetime) -> None:
        """Ask about what is due, without waiting for an answer."""
        if not self.peers:
            return
        with reading(self.sessions) as session:
            open_now = ledger.countable(session, senders=tuple(self.peers), until=now - SETTLE)
        known = {(each.id, each.last_at) for each in open_now}
        self._series = {key: memory for key, memory in self._series.items() if key in known}
        for peer in {asked.name: asked for asked in self.peers.values()}.values():
            mine = [each for each in open_now if self.peers[each.calling_ae].name == peer.name]
            due = list(islice(self._due(mine), AT_A_TIME))
            if due and self._free(peer):
                thread = threading.Thread(
                    target=self._ask, args=(peer, due, now), name=f"count-{peer.name}", daemon=True
                )
                self._threads[peer.name] = thread
                thread.start()

    def wait(self, seconds: float) -> None:
        """Wait until nobody is being asked; for those who end."""
        for thread in list(self._threads.values()):
            thread.join(seconds)

    def _free(self, peer: Asked) -> bool:
        """Whether the peer may be asked now."""
        thread = self._threads.get(peer.name)
        memory = self._peers.setdefault(peer.name, _Memory())
        return (thread is None or not thread.is_alive()) and self.steady_clock() >= memory.not_before

    def _due(self, series: Sequence[Countable]) -> Iterator[_Due]:
        """Those of which nothing is known since the last image, or too few came, and it is time."""
        for each in series:
            memory = self._series.setdefault((each.id, each.last_at), _Memory())
            if self.steady_clock() >= memory.not_before:
                yield each, memory

    def _ask(self, peer: Asked, due: Sequence[_Due], now: datetime) -> None:
        """Ask one peer about some series, and write down what it says; the edge of a thread."""
        memory = self._peers[peer.name]
        series = [each for each, _ in due]
        try:
            for (each, its), count in zip(due, _counts(peer.address, series), strict=True):
                self._note(peer, each, its, count, now=now)
            memory.times, memory.not_before = 0, 0.0
        except PeerUnreachable as error:
            memory.wait(self.steady_clock(), first=AWAY, most=AWAY_MOST)
            log.warning("count_not_answered", extra={"peer": peer.name, "code": error.reason.code})
            self._tell(peer, series, error.reason, now=now)
        except Exception:  # It is asked again later; series are closed without it.
            memory.wait(self.steady_clock(), first=AWAY, most=AWAY_MOST)
            log.exception("count_failed", extra={"peer": peer.name})

    def _note(
        self, peer: Asked, series: Countable, memory: _Memory, count: int | None, *, now: datetime
    ) -> None:
        """Write down one answer."""
        first = memory.times == 0
        memory.wait(self.steady_clock(), first=AGAIN, most=AGAIN_MOST)
        if count is not None:
            with self.sessions.begin() as session:
                ledger.note_count(session, series.id, count, at=now)
        elif first:
            self._tell(peer, [series], NOT_KNOWN, now=now)

    def _tell(self, peer: Asked, series: Sequence[Countable], reason: Reason, *, now: datetime) -> None:
        """Say on the timelines that there is no count."""
        try:
            with self.sessions.begin() as session:
                for each in series:
                    detail = {"peer": peer.name, "code": reason.code}
                    ledger.add_event(session, "count_unknown", at=now, series_id=each.id, detail=detail)
        except Exception:  # The edge of a thread: telling is a courtesy.
            log.exception("count_not_told", extra={"peer": peer.name})


def _counts(address: Address | WebAddress, series: Sequence[Countable]) -> Iterator[int | None]:
    """What a peer says of each series, in this order."""
    if isinstance(address, WebAddress):
        return (dicomweb.count_images(each.study_uid, each.series_uid, address) for each in series)
    return count_images([(each.study_uid, each.series_uid) for each in series], address)
