"""Where a request comes from, and how often somebody there may try to log in."""

import ipaddress
import threading
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta

#: Wrong tries from one address, besides the lock of each account after five. Chosen by us: a ward behind one
#: address in which twenty people mistype within five minutes is unlikely, and a stranger who tries one
#: password on many accounts (which no account's lock sees) is left with 5760 tries a day.
FAILURES_BEFORE_WAIT = 20
WAIT = timedelta(minutes=5)
#: Addresses that are remembered, the latest ones: about 5 MB. Chosen by us.
REMEMBERED = 10_000
#: Addresses in X-Forwarded-For that are looked at; a chain of proxies is shorter (chosen by us).
LONGEST_CHAIN = 20


class LoginLimit:
    """Wrong tries by address, in the memory of this process; a restart forgets them, accounts stay locked."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, list[datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, address: str | None, now: datetime) -> bool:
        """Count a try as failed before looking at it, so that parallel tries cannot outrun the limit.

        False: there were too many, and this one must not be looked at.
        """
        source = _source(address)
        with self._lock:
            recent = [at for at in self._tries.pop(source, []) if at > now - WAIT]
            allowed = len(recent) < FAILURES_BEFORE_WAIT
            if allowed:
                recent.append(now)
            self._tries[source] = recent
            while len(self._tries) > REMEMBERED:
                self._tries.popitem(last=False)
            return allowed

    def is_full(self, address: str | None) -> bool:
        """Whether the next try from there will not be looked at."""
        return len(self._tries.get(_source(address), ())) >= FAILURES_BEFORE_WAIT

    def succeed(self, address: str | None, at: datetime) -> None:
        """Take back the try that was counted at this time: it was right. Earlier wrong ones stay counted."""
        with self._lock:
            tries = self._tries.get(_source(address), [])
            if at in tries:
                tries.remove(at)

    def __len__(self) -> int:
        """Addresses that are remembered."""
        return len(self._tries)


def _source(address: str | None) -> str:
    """What counts as one address: for IPv6 a /64, which is what one customer or machine gets (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def origin(peer: str | None, forwarded: Sequence[str], trusted: Sequence[str]) -> str | None:
    """The address that a request comes from.

    ``forwarded`` holds the values of X-Forwarded-For. They are believed only when ``peer``, who is connected
    to us, is a trusted proxy, and only back to the first address that is none: what stands before that was
    written by a stranger.
    """
    found = peer
    chain = [part.strip() for value in forwarded for part in value.split(",")]
    for written in reversed(chain[-LONGEST_CHAIN:]):
        if not _is_within(found, trusted):
            break
        plain = _address(written)
        if plain is None:
            break
        found = plain
    return found


def _is_within(address: str | None, networks: Sequence[str]) -> bool:
    """Whether an address belongs to one of the networks."""
    plain = _address(address or "")
    if plain is None:
        return False
    return any(ipaddress.ip_address(plain) in ipaddress.ip_network(net, strict=False) for net in networks)


def _address(text: str) -> str | None:
    """An address in its plain form, None if it is none; a port and the zone are dropped."""
    bare = text.partition("%")[0]
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(parsed)
