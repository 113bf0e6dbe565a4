"""The tables of the conformance statement, each from the constants that the program runs with."""

import re
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any, Final

from highdicom.sr import CodedConcept
from pydicom.charset import python_encoding
from pydicom.uid import UID

from service.dicom import (
    association,
    codes,
    commitment,
    committing,
    offering,
    pdu,
    performed,
    reporting,
    retrieving,
    scp,
    scu,
    storing,
    tls,
)
from service.dicom.handshake import HANDSHAKE_SECONDS
from service.dicom.identity import (
    CODING_SCHEME_UID,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    NAMESPACE,
)
from service.dicom.offering import make_offer
from service.settings import PREFIX, Settings
from tests.make.conformance.markdown import table

COMMITMENT: Final = reporting.STORAGE_COMMITMENT
LABEL_MAP: Final = "1.2.840.10008.5.1.4.1.1.66.7"
#: Names of classes that the library does not know yet.
NEWER: Final = {LABEL_MAP: "Label Map Segmentation Storage"}
#: What the receiver takes from a caller that may do everything.
EVERYTHING: Final = make_offer(reports=True, asks=True, performs=True)
DEFAULTS: Final = {name: field.default for name, field in Settings.model_fields.items()}


def _name(uid: str) -> str:
    return NEWER.get(uid, UID(uid).name)


def _classes(uids: Any) -> list[str]:
    """By the numbers of their UIDs."""
    return sorted(uids, key=lambda uid: [int(part) for part in uid.split(".")])


def _not_kept() -> list[str]:
    served = {offering.VERIFICATION, COMMITMENT, performed.PERFORMED_STEP}
    kept = {*storing.MR_CLASSES, *storing.RESULT_CLASSES, *served}
    return _classes(set(EVERYTHING.syntaxes) - kept)


def _of_results(uid: str) -> str:
    """What the receiver does with a class that our own results have."""
    if uid in storing.SEG_CLASSES:
        return "ours are recognised; corrected ones of our images by the peer's `edits`"
    return "ours are recognised, none is kept"


def services() -> str:
    """Every SOP class with our roles."""
    rows = [(offering.VERIFICATION, "yes", "yes")]
    rows += [(uid, "", "yes, kept") for uid in _classes(storing.MR_CLASSES)]
    rows += [(uid, "yes", _of_results(uid)) for uid in _classes(storing.RESULT_CLASSES)]
    rows.append((COMMITMENT, "by the peer's `confirm`", "by the peer's `commitment_scp`"))
    rows.append((performed.PERFORMED_STEP, "", "by the peer's `mpps_scp`"))
    rows.append((commitment.STUDY_ROOT_FIND, "by the peer's `confirm` or `count`, and `backfill`", ""))
    rows.append((retrieving.STUDY_ROOT_MOVE, "`backfill`", ""))
    return table(
        ("SOP class", "UID", "user (SCU)", "provider (SCP)"),
        ((_name(uid), uid, user, provider) for uid, user, provider in rows),
    )


def kept() -> str:
    """The classes that the receiver keeps."""
    return table(("SOP class", "UID"), ((_name(uid), uid) for uid in _classes(storing.MR_CLASSES)))


def not_kept() -> str:
    """The classes that are negotiated and never kept."""
    return table(("SOP class", "UID"), ((_name(uid), uid) for uid in _not_kept()))


def accepted_contexts() -> str:
    """Transfer syntaxes by kind of class, as the receiver takes them."""
    syntaxes = EVERYTHING.syntaxes
    kinds = {
        "Storage": next(iter(storing.MR_CLASSES)),
        "Verification": offering.VERIFICATION,
        "Commitment": COMMITMENT,
        "Performed step": performed.PERFORMED_STEP,
    }
    return table(
        ("transfer syntax", "UID", "storage", "verification", "storage commitment", "performed step"),
        (
            (_name(uid), uid, *("yes" if uid in syntaxes[kinds[kind]] else "" for kind in kinds))
            for uid in offering.TRANSFER_SYNTAXES
        ),
    )


def roles() -> str:
    """Which role of storage commitment is negotiated."""
    told = {"`commitment_scp = true`": EVERYTHING, "others": make_offer(reports=True, asks=False)}
    return table(
        ("peer", "may ask us (SCU)", "may report to us (SCP)"),
        (
            (
                peer,
                "no" if COMMITMENT in offer.only_provided_by_peer else "yes",
                "yes" if COMMITMENT in offer.provided_by_peer else "no",
            )
            for peer, offer in told.items()
        ),
    )


def sent_classes() -> str:
    """What is sent, and in which syntaxes it is proposed."""
    plain = ", ".join(_name(uid) for uid in scu.PLAIN_SYNTAXES)
    rows = [
        (_name(uid), uid, "RLE Lossless" if uid == LABEL_MAP else plain)
        for uid in _classes(storing.RESULT_CLASSES)
    ]
    return table(("SOP class", "UID", "transfer syntaxes"), rows)


def acceptor_limits() -> str:
    """What bounds an association that others open."""
    return table(
        ("limit", "value"),
        (
            ("largest PDU received", f"{association.MAXIMUM_PDU_SIZE} bytes; a larger one: A-ABORT"),
            ("longest A-ASSOCIATE-RQ", f"{pdu.LARGEST_REQUEST} bytes"),
            ("presentation contexts of an association", pdu.MOST_CONTEXTS),
            ("associations at a time", _setting("max_associations", "one more gets A-ASSOCIATE-RJ")),
            ("connections beyond, before their request", f"{scp.SPARE_CONNECTIONS}; one more is closed"),
            ("time for the A-ASSOCIATE-RQ to come (ARTIM)", f"{association.REQUEST_SECONDS:g} s"),
            ("time for the peer to close after the end (ARTIM)", f"{association.CLOSE_SECONDS:g} s"),
            ("time for the TLS handshake", f"{HANDSHAKE_SECONDS:g} s"),
            ("silence after which a caller is cut off, in seconds", _setting("association_idle_seconds")),
            ("largest object, in MB", _setting("max_instance_mb", "a larger one is answered with 0xC000")),
            ("objects of one question about commitment", committing.MOST_OBJECTS),
            ("longest question about commitment", f"{committing.LARGEST_QUESTION} bytes"),
            ("longest report about commitment", f"{reporting.LARGEST_REPORT} bytes"),
            ("items in one message about a performed step", performed.MOST_IMAGES),
            ("longest message about a performed step", f"{performed.LARGEST_STEP} bytes"),
            ("asynchronous operations", "none: one request at a time"),
        ),
    )


def initiator_limits() -> str:
    """What bounds an association that we open."""
    return table(
        ("limit", "value"),
        (
            ("largest PDU received", f"{scu.MAXIMUM_PDU_SIZE} bytes"),
            ("time to connect", f"{scu.CONNECT_SECONDS:g} s"),
            ("time to negotiate", f"{scu.NEGOTIATE_SECONDS:g} s"),
            ("time for one answer", f"{scu.ANSWER_SECONDS:g} s, the peer's `answer_seconds`"),
            ("presentation contexts of an association", scu.CONTEXTS_PER_ASSOCIATION),
            ("results on their way to a peer at a time", "1, the peer's `lanes`"),
            ("asynchronous operations", "none: one request at a time"),
        ),
    )


def _setting(name: str, more: str = "") -> str:
    """A setting's default and its name."""
    return f"{DEFAULTS[name]:g}, set by `{PREFIX}{name.upper()}`" + (f"; {more}" if more else "")


def identification() -> str:
    """Who the implementation says that it is."""
    return table(
        ("", "value"),
        (
            ("implementation class UID", IMPLEMENTATION_CLASS_UID),
            ("implementation version name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
            ("application context", pdu.APPLICATION_CONTEXT),
            ("namespace of our UIDs (UUID, version 5)", f"`{NAMESPACE}`"),
        ),
    )


def rejections() -> str:
    """A-ASSOCIATE-RJ: result, source and reason."""
    return table(
        ("rejected for", "result", "source", "reason"),
        (
            (_words(each.name), *((each.value >> shift) & 0xFF for shift in (16, 8, 0)))
            for each in pdu.Rejection
        ),
    )


def aborts() -> str:
    """A-ABORT: reasons of the provider."""
    return table(("reason", "number"), ((_words(each.name), each.value) for each in pdu.AbortReason))


def store_statuses() -> str:
    """Answers to C-STORE; the last is of STOW-RS alone."""
    return table(
        ("status", "name"), ((f"0x{each.value:04X}", _words(each.name)) for each in storing.StoreStatus)
    )


def failure_reasons() -> str:
    """Why we do not vouch for an object."""
    return table(
        ("Failure Reason", "name"),
        ((f"0x{each.value:04X}", _words(each.name)) for each in committing.FailureReason),
    )


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


def character_sets() -> str:
    """Values of Specific Character Set that are read."""
    terms = sorted(term for term in python_encoding if term)
    return (
        "Read: " + ", ".join(f"`{term}`" for term in terms) + ", and none (ISO IR 6). Written: `ISO_IR 192`."
    )


def tls_profile() -> str:
    """Versions and suites."""
    suites = [suite for suite in tls.CIPHERS.split(":") if not suite.startswith("@")]
    return table(
        ("", "value"),
        (
            ("versions", ", ".join(f"TLS {version}" for version in tls.VERSIONS)),
            ("suites of TLS 1.2", ", ".join(f"`{suite}`" for suite in suites)),
            ("port", _setting("tls_port")),
            (
                "oldest version that is spoken",
                f"{DEFAULTS['tls_min_version']}, set by `{PREFIX}TLS_MIN_VERSION`",
            ),
        ),
    )


#: Settings that change what is spoken on the network.
CONFIGURED: Final = re.compile(
    r"(ae_title|dicom_|tls_|loopback_may_send|max_associations|max_instance|association_|spool_\w*free"
    r"|quiet_|hard_cap|circuit_|confirm_|delivery_)"
)


def parameters() -> str:
    """Settings of the DICOM side, with their defaults."""
    names = [name for name in Settings.model_fields if CONFIGURED.match(name) and not name.endswith("_file")]
    defaults = {name: "none" if DEFAULTS[name] is None else f"`{DEFAULTS[name]}`" for name in names}
    return table(
        ("setting", "default"), ((f"`{PREFIX}{name.upper()}`", told) for name, told in defaults.items())
    )


def _concepts(value: object) -> Iterator[CodedConcept]:
    """Coded concepts in a constant, which may be a table of them."""
    if isinstance(value, CodedConcept):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _concepts(item)


def all_codes() -> list[tuple[str, str, str]]:
    """Scheme, value and meaning of every coded concept that objects are written with."""
    found = [concept for value in vars(codes).values() for concept in _concepts(value)]
    found += [codes.flag_concept(code) for code in codes._FLAG_MEANINGS]
    return sorted({(item.scheme_designator, item.value, item.meaning) for item in found})


def standard_codes() -> str:
    """Codes of public schemes."""
    rows = [(f"`{code}`", scheme, told) for scheme, code, told in all_codes() if scheme != codes.SCHEME]
    return table(("code", "scheme", "meaning"), rows)


def private_codes() -> str:
    """Codes of our own scheme."""
    rows = [(value, meaning) for scheme, value, meaning in all_codes() if scheme == codes.SCHEME]
    return f"Coding Scheme UID {CODING_SCHEME_UID}.\n\n" + table(
        ("code", "meaning"), ((f"`{value}`", meaning) for value, meaning in rows)
    )


TABLES: Final[MappingProxyType[str, Callable[[], str]]] = MappingProxyType(
    {
        each.__name__.replace("_", "-"): each
        for each in (
            services,
            kept,
            not_kept,
            accepted_contexts,
            roles,
            sent_classes,
            acceptor_limits,
            initiator_limits,
            identification,
            rejections,
            aborts,
            store_statuses,
            failure_reasons,
            character_sets,
            tls_profile,
            parameters,
            standard_codes,
            private_codes,
        )
    }
)
