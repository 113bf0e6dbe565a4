"""Who a certificate names, and whether that is who a peer is bound to."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Attributes of a distinguished name by their short names (RFC 4514, 3), as the ssl module spells them.
ATTRIBUTES = {
    "CN": "commonName",
    "OU": "organizationalUnitName",
    "O": "organizationName",
    "C": "countryName",
    "ST": "stateOrProvinceName",
    "L": "localityName",
    "DC": "domainComponent",
    "SERIALNUMBER": "serialNumber",
    "EMAILADDRESS": "emailAddress",
}
#: Subject alternative names by the words before the colon, as the ssl module spells them.
ALTERNATIVES = {"DNS": "DNS", "IP": "IP Address", "URI": "URI"}
_SHORT = {long: short for short, long in ATTRIBUTES.items()}
_PART = re.compile(r"([A-Za-z]+)=((?:[^,\\]|\\.)+)(?:,|$)")
_ESCAPE, _ESCAPED = re.compile(r"([,\\])"), r"\\\1"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a verified certificate says about its owner."""

    #: Attribute (long name) and value, in the order of the certificate.
    subject: tuple[tuple[str, str], ...]
    #: Kind and value of each subject alternative name.
    names: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Certificate":
        """From what ``SSLSocket.getpeercert()`` returns."""
        return cls(
            subject=tuple((str(key), str(value)) for part in found.get("subject", ()) for key, value in part),
            names=tuple((str(kind), str(value)) for kind, value in found.get("subjectAltName", ())),
        )

    def __str__(self) -> str:
        """The subject as ``tls_subject`` writes it; the first alternative name where there is no subject."""
        known = [(_SHORT[key], value) for key, value in self.subject if key in _SHORT]
        if known:
            return ",".join(f"{key}={_ESCAPE.sub(_ESCAPED, value)}" for key, value in known)
        short = {long: word for word, long in ALTERNATIVES.items()}
        return next((f"{short[kind]}:{value}" for kind, value in self.names if kind in short), "")

    def is_bound_to(self, subjects: Iterable[str]) -> bool:
        """Whether one of these ``tls_subject`` values names the owner of this certificate."""
        return any(self._is(subject) for subject in subjects)

    def _is(self, expected: str) -> bool:
        """One comparison, as docs/reference/settings.md words it.

        ``DNS:``, ``IP:`` or ``URI:``: one of the alternative names is this one; a wildcard names nobody.
        Otherwise for each attribute that is written, the certificate has exactly the written values, in
        exactly this spelling; attributes that are not written do not matter.
        """
        kind, _, value = expected.partition(":")
        if kind in ALTERNATIVES:
            return any(_same_name(kind, value, name) for of, name in self.names if of == ALTERNATIVES[kind])
        wanted: dict[str, list[str]] = {}
        for attribute, text in _PART.findall(expected):
            wanted.setdefault(ATTRIBUTES[attribute.upper()], []).append(re.sub(r"\\(.)", r"\1", text))
        return bool(wanted) and all(
            sorted(values) == sorted(value for key, value in self.subject if key == attribute)
            for attribute, values in wanted.items()
        )


def _same_name(kind: str, expected: str, name: str) -> bool:
    """Whether two alternative names are one; host names know no capitals, addresses have many spellings."""
    if kind == "DNS":
        return expected.lower() == name.lower()
    if kind == "IP":
        try:
            return ipaddress.ip_address(expected) == ipaddress.ip_address(name)
        except ValueError:
            return False
    return expected == name
