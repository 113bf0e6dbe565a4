"""A line of the audit record as DICOM audit messages (PS3.15 A.5).

Elements, attributes and their order are those of the schema in PS3.15 A.5.1; which participants and objects
an event names are those of the tables in A.5.3.
"""

import base64
import ipaddress
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from service.core.auditevents import (
    ACTIVITY,
    ALERT,
    APPLICATION,
    BEGIN_TRANSFER,
    DESTINATION,
    EXPORT,
    LOG_USED,
    MEDIA,
    NODE,
    QUERY,
    SOURCE,
    STUDY_UID,
    TRANSFERRED,
    URI_MEDIA,
    Coded,
    Event,
    Outcome,
    events,
    own,
    rfc,
)

#: What XML 1.0 cannot hold (section 2.2); who tries to log in may call himself anything.
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: NetworkAccessPointTypeCode.
_MACHINE, _ADDRESS = "1", "2"
#: ParticipantObjectTypeCode.
_PERSON, _SYSTEM = "1", "2"
#: ParticipantObjectTypeCodeRole.
_PATIENT, _REPORT, _RESOURCE = "1", "3", "13"


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Who tells: one installation."""

    ae_title: str
    host: str
    #: AuditEnterpriseSiteID; empty: not told.
    site: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A sealed line of the audit record."""

    #: Place in the chain.
    number: int
    at: datetime
    actor: str
    action: str
    ok: bool
    object_type: str | None = None
    object_id: str | None = None
    address: str | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whose images a line is about, as far as it is to be told."""

    #: None where the study is not here any more.
    study_uid: str | None
    #: Patient ID, or its keyed hash; empty: unknown.
    patient: str
    hashed: bool
    #: PatientName; None where it is not to be told.
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Message:
    """One DICOM audit message."""

    at: datetime
    outcome: Outcome
    #: The document, without a declaration.
    xml: str


def messages(line: Line, subject: Subject | None, reporter: Reporter) -> tuple[Message, ...]:
    """What is sent of a line; at least one message. ``subject``: whom an analysis or a study is of."""
    found = events(line.action, ok=line.ok, object_type=line.object_type, detail=line.detail)
    return tuple(
        Message(at=line.at, outcome=event.outcome, xml=_document(event, line, subject, reporter))
        for event in found
    )


def _document(event: Event, line: Line, subject: Subject | None, reporter: Reporter) -> str:
    root = ET.Element("AuditMessage")
    root.append(_identification(event, line))
    root.extend(_participants(event, line, reporter))
    source = _element("AuditSourceIdentification", AuditSourceID=reporter.ae_title)
    if reporter.site:
        source.set("AuditEnterpriseSiteID", _plain(reporter.site))
    # PS3.15 A.5.1.2.1: application server process.
    source.append(_element("AuditSourceTypeCode", **{"csd-code": "4"}))
    root.append(source)
    root.extend(_objects(event, line, subject))
    return ET.tostring(root, encoding="unicode")


def _identification(event: Event, line: Line) -> ET.Element:
    element = _element(
        "EventIdentification",
        EventActionCode=event.action,
        EventDateTime=line.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=event.outcome,
    )
    element.append(_coded("EventID", event.id))
    if event.type is not None:
        element.append(_coded("EventTypeCode", event.type))
    if event.id.scheme == "DCM":
        element.append(_coded("EventTypeCode", own(line.action)))
    if event.outcome != Outcome.SUCCESS:
        code = (line.detail or {}).get("reason") or line.action
        ET.SubElement(element, "EventOutcomeDescription").text = _plain(str(code))
    return element


# Active participants


@dataclass(frozen=True, kw_only=True)
class _Who:
    """One active participant."""

    user: str
    requestor: bool
    role: Coded | None = None
    ae_title: str = ""
    point: str | None = None
    media: Coded | None = None


def _participants(event: Event, line: Line, reporter: Reporter) -> Iterator[ET.Element]:
    for who in _who(event, line, reporter):
        element = _element("ActiveParticipant", UserID=who.user, UserIsRequestor=str(who.requestor).lower())
        if who.ae_title:
            element.set("AlternativeUserID", _plain(f"AETITLES={who.ae_title}"))
        if who.point:
            element.set("NetworkAccessPointID", _plain(who.point))
            element.set("NetworkAccessPointTypeCode", _ADDRESS if _is_address(who.point) else _MACHINE)
        if who.role is not None:
            element.append(_coded("RoleIDCode", who.role))
        if who.media is not None:
            medium = ET.SubElement(element, "MediaIdentifier")
            medium.append(_coded("MediaType", who.media))
        yield element


def _who(event: Event, line: Line, reporter: Reporter) -> tuple[_Who, ...]:
    """Who took part, by the table of the event in PS3.15 A.5.3."""
    detail = line.detail or {}
    by_us = line.actor == "service"
    title = reporter.ae_title

    def us(role: Coded | None = None, *, requestor: bool = by_us) -> _Who:
        return _Who(user=title, requestor=requestor, role=role, ae_title=title, point=reporter.host)

    def asker(role: Coded | None = None) -> _Who:
        if by_us:
            return us(role)
        return _Who(user=line.actor, requestor=True, role=role, point=line.address)

    found: tuple[_Who, ...] = (us(),) if by_us else (asker(), us(requestor=False))
    if event.id == ACTIVITY:
        found = (us(APPLICATION, requestor=False),)
    elif line.action == "series_received":
        sender = str(detail.get("calling_ae") or "unknown")
        source = _Who(user=sender, requestor=True, role=SOURCE, ae_title=sender)
        found = source, us(DESTINATION, requestor=False)
    elif event.id in (BEGIN_TRANSFER, TRANSFERRED):
        peer = _Who(user=str(detail.get("peer") or "unknown"), requestor=False, role=DESTINATION)
        found = us(SOURCE, requestor=True), peer
    elif event.id == EXPORT:
        place = _Who(user=line.address or reporter.host, requestor=False, role=MEDIA, media=URI_MEDIA)
        # The person and the process, where both are known.
        found = (us(SOURCE), place) if by_us else (asker(SOURCE), us(SOURCE), place)
    elif event.id == QUERY:
        found = asker(SOURCE), us(DESTINATION, requestor=False)
    elif event.id == ALERT:
        found = us(requestor=True), *_performers(event, line)
    return found


def _performers(event: Event, line: Line) -> tuple[_Who, ...]:
    """Who did what we report by an alert, and is no requestor then."""
    if event.type == NODE:
        caller = str((line.detail or {}).get("calling_ae") or "unknown")
        return (_Who(user=caller, requestor=False, ae_title=caller, point=line.address),)
    by_us = line.actor == "service"
    return () if by_us else (_Who(user=line.actor, requestor=False, point=line.address),)


def _is_address(point: str) -> bool:
    try:
        ipaddress.ip_address(point)
    except ValueError:
        return False
    return True


# Participant objects


def _objects(event: Event, line: Line, subject: Subject | None) -> Iterator[ET.Element]:
    """What the line is about; all that it says besides stands as details of the first object."""
    found: list[ET.Element] = []
    if event.id == LOG_USED:
        uri = rfc("12", "URI")
        found.append(_object(uri, "/audit", "Security Audit Log", kind=_SYSTEM, role=_RESOURCE))
    elif event.id == QUERY:
        said = json.dumps(line.detail or {}, sort_keys=True).encode()
        what = _object(own("list"), line.action, None, kind=_SYSTEM, role=_REPORT)
        ET.SubElement(what, "ParticipantObjectQuery").text = base64.b64encode(said).decode("ascii")
        found.append(what)
    elif subject is not None:
        found += _of_images(line, subject)
    elif line.object_type:
        known = (own(line.object_type), line.object_id or "unknown")
        found.append(_object(*known, line.object_type, kind=_SYSTEM, role=_RESOURCE))
    elif event.id == ALERT:
        found.append(_object(own("alert"), line.action, line.action, kind=_SYSTEM, role=_RESOURCE))
    if found and event.id != QUERY:
        _details(found[0], line, alert=event.id == ALERT)
    yield from found


def _of_images(line: Line, subject: Subject) -> list[ET.Element]:
    """A study and its patient."""
    number = f"{line.object_type} {line.object_id}"
    study = (
        _object(STUDY_UID, subject.study_uid, number, kind=_SYSTEM, role=_REPORT)
        if subject.study_uid
        else _object(own(line.object_type or "study"), line.object_id, number, kind=_SYSTEM, role=_REPORT)
    )
    id_code = own("patient_id_keyed_hash") if subject.hashed else rfc("2", "Patient Number")
    name = subject.name or "not told"
    return [study, _object(id_code, subject.patient or "unknown", name, kind=_PERSON, role=_PATIENT)]


def _object(code: Coded, identifier: str | None, name: str | None, *, kind: str, role: str) -> ET.Element:
    element = _element(
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier or "unknown",
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
    element.append(_coded("ParticipantObjectIDTypeCode", code))
    if name is not None:
        ET.SubElement(element, "ParticipantObjectName").text = _plain(name)
    return element


def _details(element: ET.Element, line: Line, *, alert: bool) -> None:
    """Codes and numbers of a line, each as a pair; the place in the chain is the first."""
    pairs: list[tuple[str, Any]] = [("audit_record_number", line.number), *(line.detail or {}).items()]
    if alert:
        pairs.append(("Alert Description", line.action.replace("_", " ")))
    for name, value in pairs:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
        coded = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
        element.append(_element("ParticipantObjectDetail", type=name, value=coded))


def _coded(tag: str, value: Coded) -> ET.Element:
    return _element(
        tag,
        **{"csd-code": value.code, "codeSystemName": value.scheme, "originalText": value.meaning},
    )


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, {name: _plain(value) for name, value in attributes.items()})


def _plain(text: str) -> str:
    """What XML can hold of a text."""
    return _NO_XML.sub("\ufffd", text)
