"""Who may send: known by calling AE title and address together, and by certificate where TLS is set.

Never by the title alone, which anybody may call himself.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from service.dicom.certificates import Certificate

Unwanted = Literal["refuse", "discard"]
Rejection = Literal[
    "called_ae_unknown",
    "calling_ae_unknown",
    "address_unknown",
    "may_not_send",
    "tls_required",
    "tls_subject_unknown",
]
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
    #: Let in to report on storage commitments, even if it may not send.
    may_report: bool = False
    #: Let in to ask for storage commitment, even if it may not send.
    may_ask: bool = False
    #: Let in to tell of performed procedure steps, even if it may not send.
    may_perform: bool = False
    #: Edited segmentations of our images are taken from it.
    may_edit: bool = False
    unwanted: Unwanted = "refuse"
    #: Let in by TLS alone, with a certificate that names one of these.
    tls: bool = False
    tls_subject: tuple[str, ...] = ()
    #: May send this study and no other; None: any.
    only_study: str | None = None

    @property
    def may_else(self) -> bool:
        """Whether it may call for something else than to send."""
        return self.may_report or self.may_ask or self.may_perform


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The answer to one caller: let in as this peer, or the reason why not."""

    caller: Caller | None
    rejection: Rejection | None


#: How a self-test calls itself.
SELF_TEST_AE: Final = "MYOSELFTEST"
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
        self_test: Callable[[], str | None] = lambda: None,
        own_address: str = "",
    ) -> None:
        """``loopback``: whether this machine itself may send unlisted; None: while nobody is listed.

        ``self_test`` tells the study that a self-test is about to send from this machine, by its loopback
        or its ``own_address``.
        """
        self._self_test = self_test
        self._own_address = own_address
        self._callers = tuple(callers)
        self._loopback = not self._callers if loopback is None else loopback
        self._ae_title = ae_title.strip()
        self._resolve = resolve or _CachedResolver()

    def admit(
        self, *, calling_ae: str, called_ae: str, address: str, certificate: Certificate | None = None
    ) -> Admission:
        """Whether this caller may open an association; ``certificate`` is None where TLS is not spoken."""
        if called_ae.strip() != self._ae_title:
            return Admission(caller=None, rejection="called_ae_unknown")
        plain = plain_address(address)
        admission = self._admit_listed(calling_ae.strip(), plain, certificate)
        if admission.caller is None and calling_ae.strip() == SELF_TEST_AE and self._is_here(plain):
            study = self._self_test()
            if study is not None:
                caller = Caller(name="self-test", ae_title=SELF_TEST_AE, host=plain, only_study=study)
                return Admission(caller=caller, rejection=None)
        if admission.caller is None and certificate is None and self._may_be_local(plain):
            return Admission(caller=LOOPBACK, rejection=None)
        if not self._callers:
            return Admission(caller=None, rejection="address_unknown")
        return admission

    def _may_be_local(self, address: str) -> bool:
        """Whether this machine itself may send without being listed, and this is it."""
        return self._loopback and ipaddress.ip_address(address).is_loopback

    def _is_here(self, address: str) -> bool:
        """Whether somebody calls from this machine."""
        return ipaddress.ip_address(address).is_loopback or address == self._own_address

    def _admit_listed(self, calling_ae: str, address: str, certificate: Certificate | None) -> Admission:
        """The first peer with this title at this address that may send in this way."""
        titled = [caller for caller in self._callers if caller.ae_title.strip() == calling_ae]
        here = [caller for caller in titled if self._is_at(caller.host, address)]
        senders = [caller for caller in here if caller.may_send]
        senders += [caller for caller in here if caller.may_else and not caller.may_send]
        if senders:
            return _by_channel(senders, certificate)
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


def _by_channel(senders: Sequence[Caller], certificate: Certificate | None) -> Admission:
    """The first of these that may come with this certificate, or without any where TLS is not spoken."""
    if certificate is None:
        found = [caller for caller in senders if not caller.tls]
    else:
        found = [caller for caller in senders if caller.tls and certificate.is_bound_to(caller.tls_subject)]
    if found:
        return Admission(caller=found[0], rejection=None)
    return Admission(caller=None, rejection="tls_required" if certificate is None else "tls_subject_unknown")


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
