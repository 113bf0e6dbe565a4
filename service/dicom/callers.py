"""Who may send: known by calling AE title and address together, never by the title alone."""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Unwanted = Literal["refuse", "discard"]
Rejection = Literal["called_ae_unknown", "calling_ae_unknown", "address_unknown", "may_not_send"]
Resolve = Callable[[str], frozenset[str]]

#: A peer that moves is found again within a minute, and a slow name server is not asked for each image.
RESOLVE_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One peer, as far as it matters for letting it in."""

    name: str
    ae_title: str
    #: An address, a network such as 10.1.0.0/16, or a name.
    host: str
    may_send: bool = True
    unwanted: Unwanted = "refuse"


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The answer to one caller: let in as this peer, or the reason why not."""

    caller: Caller | None
    rejection: Rejection | None


#: Who is let in from this machine itself without being listed.
LOOPBACK = Caller(name="loopback", ae_title="", host="127.0.0.0/8")


class CallerList:
    """The allow-list."""

    def __init__(
        self,
        callers: Sequence[Caller],
        *,
        ae_title: str,
        loopback: bool | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """``loopback``: whether this machine itself may send unlisted; None: while nobody is listed."""
        self._callers = tuple(callers)
        self._loopback = not self._callers if loopback is None else loopback
        self._ae_title = ae_title.strip()
        self._resolve = resolve or _CachedResolver()

    def admit(self, *, calling_ae: str, called_ae: str, address: str) -> Admission:
        """Whether this caller may open an association."""
        if called_ae.strip() != self._ae_title:
            return Admission(caller=None, rejection="called_ae_unknown")
        plain = plain_address(address)
        admission = self._admit_listed(calling_ae.strip(), plain)
        if admission.caller is None and self._loopback and ipaddress.ip_address(plain).is_loopback:
            return Admission(caller=LOOPBACK, rejection=None)
        if not self._callers:
            return Admission(caller=None, rejection="address_unknown")
        return admission

    def _admit_listed(self, calling_ae: str, address: str) -> Admission:
        """The first peer with this title at this address that may send."""
        titled = [caller for caller in self._callers if caller.ae_title.strip() == calling_ae]
        here = [caller for caller in titled if self._is_at(caller.host, address)]
        senders = [caller for caller in here if caller.may_send]
        if senders:
            return Admission(caller=senders[0], rejection=None)
        if here:
            return Admission(caller=None, rejection="may_not_send")
        return Admission(caller=None, rejection="address_unknown" if titled else "calling_ae_unknown")

    def _is_at(self, host: str, address: str) -> bool:
        """Whether the address belongs to the host."""
        try:
            network = ipaddress.ip_network(host, strict=False)
        except ValueError:
            return address in self._resolve(host)
        return ipaddress.ip_address(address) in network


def plain_address(address: str) -> str:
    """An address in its shortest form; IPv4 inside IPv6 counts as IPv4, a zone is dropped."""
    parsed = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(parsed)


class _CachedResolver:
    """Addresses of host names, asked for again after a while."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    def __call__(self, host: str) -> frozenset[str]:
        """All addresses of a host; none when the name cannot be resolved."""
        asked, addresses = self._known.get(host, (float("-inf"), frozenset()))
        if time.monotonic() - asked > RESOLVE_AGAIN_SECONDS:
            addresses = _addresses(host) or addresses
            self._known[host] = (time.monotonic(), addresses)
        return addresses


def _addresses(host: str) -> frozenset[str]:
    """What the resolver of this machine says."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(plain_address(str(item[4][0])) for item in found)
