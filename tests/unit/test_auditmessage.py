"""Each line of the audit record becomes a DICOM audit message as schema and tables of PS3.15 A.5 ask."""

import base64
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from service.core.auditevents import Outcome
from service.core.auditmessage import Line, Reporter, Subject, messages
from tests.make.audit_messages import faults

SERVICE = Path(__file__).resolve().parents[2] / "service"
AT = datetime(2026, 11, 23, 14, 30, 5, 250000, tzinfo=UTC)
US = Reporter(ae_title="MYOSCREEN", host="myo1", site="Klinik am See")
HASHED = Subject(study_uid="1.2.826.0.1", patient="ab12", hashed=True)
NAMED = Subject(study_uid="1.2.826.0.1", patient="PID-4711", hashed=False, name="Muster^Erika")


def line(action, **changes):
    return Line(**{"number": 7, "at": AT, "actor": "service", "action": action, "ok": True, **changes})


def only(found):
    assert len(found) == 1
    return ET.fromstring(found[0].xml)


def told(action, subject=None, **changes):
    return only(messages(line(action, **changes), subject, US))


def event(root):
    """EventID, action code, outcome, and the codes of the event types."""
    head = root.find("EventIdentification")
    types = [each.get("csd-code") for each in head.findall("EventTypeCode")]
    return (
        head.find("EventID").get("csd-code"),
        head.get("EventActionCode"),
        head.get("EventOutcomeIndicator"),
        types,
    )


def participants(root):
    """UserID, whether they asked, role and access point of each."""
    return [
        (
            each.get("UserID"),
            each.get("UserIsRequestor"),
            each.find("RoleIDCode").get("csd-code") if each.find("RoleIDCode") is not None else None,
            each.get("NetworkAccessPointID"),
        )
        for each in root.findall("ActiveParticipant")
    ]


def objects(root):
    """Code of the identifier, identifier, role and name of each."""
    return [
        (
            each.find("ParticipantObjectIDTypeCode").get("csd-code"),
            each.get("ParticipantObjectID"),
            each.get("ParticipantObjectTypeCodeRole"),
            each.findtext("ParticipantObjectName"),
        )
        for each in root.findall("ParticipantObjectIdentification")
    ]


OF_IMAGES = {"object_type": "analysis", "object_id": "12"}
#: PS3.15 A.5.3.x: action, what the line has besides, event as (EventID, action, outcome, types).
EVENTS = [
    ("door_started", {}, ("110100", "E", "0", ["110120", "door_started"])),
    ("door_stopped", {}, ("110100", "E", "0", ["110121", "door_stopped"])),
    ("audit_viewed", {"actor": "anna"}, ("110101", "R", "0", ["audit_viewed"])),
    ("delivery_begun", OF_IMAGES, ("110102", "E", "0", ["delivery_begun"])),
    ("delivery_sent", OF_IMAGES, ("110104", "C", "0", ["delivery_sent"])),
    ("delivery_failed", {**OF_IMAGES, "ok": False}, ("110104", "C", "4", ["delivery_failed"])),
    (
        "series_received",
        {"object_type": "study", "object_id": "3"},
        ("110104", "C", "0", ["series_received"]),
    ),
    ("analysis_viewed", {**OF_IMAGES, "actor": "anna"}, ("110103", "R", "0", ["analysis_viewed"])),
    ("analysis_finished", OF_IMAGES, ("110103", "C", "0", ["analysis_finished"])),
    ("output_exported", {**OF_IMAGES, "actor": "anna"}, ("110106", "R", "0", ["output_exported"])),
    (
        "patient_exported",
        {"object_type": "study", "object_id": "3"},
        ("110106", "R", "0", ["patient_exported"]),
    ),
    ("rows_purged", {"object_type": "study", "object_id": "3"}, ("110105", "D", "0", ["rows_purged"])),
    ("pixels_purged", {"object_type": "study", "object_id": "3"}, ("110103", "D", "0", ["pixels_purged"])),
    ("results_purged", {"object_type": "study", "object_id": "3"}, ("110103", "D", "0", ["results_purged"])),
    ("analyses_listed", {"actor": "anna"}, ("110112", "E", "0", ["analyses_listed"])),
    ("caller_rejected", {"ok": False}, ("110113", "E", "4", ["110126", "caller_rejected"])),
    ("access", {"ok": False, "actor": "anna"}, ("110113", "E", "4", ["110132", "access"])),
    ("user_added", {"actor": "admin"}, ("110113", "E", "0", ["110137", "user_added"])),
    ("results_opened", {"actor": "anna"}, ("110113", "E", "0", ["110127", "results_opened"])),
    ("results_closed", {"actor": "anna"}, ("110113", "E", "0", ["110138", "results_closed"])),
    ("login", {"actor": "anna"}, ("110114", "E", "0", ["110122", "login"])),
    ("login", {"actor": "anna", "ok": False}, ("110114", "E", "4", ["110122", "login"])),
    ("logout", {"actor": "anna"}, ("110114", "E", "0", ["110123", "logout"])),
    ("peer_echoed", {"actor": "anna", "object_type": "peer"}, ("peer_echoed", "E", "0", [])),
    ("something_viewed", {"actor": "anna", "object_type": "peer"}, ("something_viewed", "E", "0", [])),
]


@pytest.mark.parametrize(("action", "more", "expected"), EVENTS, ids=[f"{e[0]}-{e[2][2]}" for e in EVENTS])
def test_an_action_is_told_as_the_event_of_the_standard(action, more, expected):
    assert event(told(action, HASHED if "object_type" in more else None, **more)) == expected


def test_every_action_of_the_program_becomes_valid_messages(tmp_path):
    """With what lines have and what they may lack; the actions are read from the source."""
    found = set()
    for path in SERVICE.rglob("*.py"):
        source = path.read_text("utf-8")
        found |= set(re.findall(r'action="([a-z_]+)"', source))
        found |= set(re.findall(r'"([a-z]+_(?:viewed|listed|exported|purged|ordered|set|released))"', source))
    assert {"login", "analysis_viewed", "analyses_listed", "output_exported", "delivery_begun"} <= found
    shapes = [
        ({}, None),
        ({"actor": "anna", "ok": False, "address": "10.1.2.3", "detail": {"locked": True}}, None),
        ({"object_type": "analysis", "object_id": "1", "detail": {"codes": ["a", None], "n": 0.5}}, HASHED),
        ({"object_type": "study", "object_id": "1", "address": "gate.example"}, NAMED),
        ({"object_type": "study"}, Subject(study_uid=None, patient="", hashed=True)),
        ({"object_type": "peer", "object_id": "pacs", "actor": "key:pacs", "detail": {"peer": "pacs"}}, None),
    ]
    documents = [
        message.xml
        for action in sorted(found)
        for more, subject in shapes
        for message in messages(line(action, **more), subject, US)
    ]
    assert faults(tmp_path, documents) == ""


def test_the_grammar_refuses_what_the_standard_does_not_have(tmp_path):
    good = messages(line("delivery_sent", **OF_IMAGES), HASHED, US)[0].xml
    for old, new in (
        ('csd-code="110104"', ""),
        ("ActiveParticipant", "Participant"),
        ('UserIsRequestor="true"', 'UserIsRequestor="perhaps"'),
        ('EventOutcomeIndicator="0"', 'EventOutcomeIndicator="1"'),
        ("<ParticipantObjectName>not told</ParticipantObjectName>", ""),
    ):
        bad = good.replace(old, new)
        assert bad != good
        assert faults(tmp_path, [bad]) != "", old


def test_a_transfer_names_source_and_destination():
    out = told("delivery_sent", HASHED, **OF_IMAGES, detail={"peer": "pacs", "sent": 4})
    assert participants(out) == [
        ("MYOSCREEN", "true", "110153", "myo1"),
        ("pacs", "false", "110152", None),
    ]
    came = told(
        "series_received", HASHED, object_type="study", object_id="3", detail={"calling_ae": "SCANNER1"}
    )
    assert participants(came) == [
        ("SCANNER1", "true", "110153", None),
        ("MYOSCREEN", "false", "110152", "myo1"),
    ]
    assert came.find("ActiveParticipant").get("AlternativeUserID") == "AETITLES=SCANNER1"


def test_a_person_is_named_with_the_address_and_we_are_beside():
    seen = told("analysis_viewed", HASHED, **OF_IMAGES, actor="anna", address="10.1.2.3")
    assert participants(seen) == [("anna", "true", None, "10.1.2.3"), ("MYOSCREEN", "false", None, "myo1")]
    kinds = [each.get("NetworkAccessPointTypeCode") for each in seen.findall("ActiveParticipant")]
    assert kinds == ["2", "1"]
    assert participants(told("analysis_failed", HASHED, **OF_IMAGES)) == [("MYOSCREEN", "true", None, "myo1")]
    assert participants(told("analyses_listed", actor="anna")) == [
        ("anna", "true", "110153", None),
        ("MYOSCREEN", "false", "110152", "myo1"),
    ]


def test_an_export_names_its_medium():
    out = told("output_exported", HASHED, **OF_IMAGES, actor="anna", address="10.1.2.3")
    assert participants(out) == [
        ("anna", "true", "110153", "10.1.2.3"),
        ("MYOSCREEN", "false", "110153", "myo1"),
        ("10.1.2.3", "false", "110154", None),
    ]
    by_hand = told("patient_exported", HASHED, object_type="study", object_id="3")
    assert participants(by_hand)[0] == ("MYOSCREEN", "true", "110153", "myo1")
    assert len(participants(by_hand)) == 2
    media = out.findall("ActiveParticipant/MediaIdentifier/MediaType")
    assert [each.get("csd-code") for each in media] == ["110037"]


def test_a_refused_caller_is_the_one_who_acted():
    detail = {"calling_ae": "UNKNOWN", "reason": "unknown_caller"}
    out = told("caller_rejected", ok=False, address="10.9.9.9", detail=detail)
    assert participants(out) == [("MYOSCREEN", "true", None, "myo1"), ("UNKNOWN", "false", None, "10.9.9.9")]
    assert out.findtext("EventIdentification/EventOutcomeDescription") == "unknown_caller"
    assert objects(out) == [("alert", "caller_rejected", "13", "caller_rejected")]


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("access", {"ok": False, "detail": {"needs": "audit"}}),
        ("user_added", {"object_type": "user", "object_id": "berta"}),
        ("results_opened", {"object_type": "opening", "object_id": "1"}),
        ("results_closed", {}),
    ],
)
def test_of_an_alert_we_are_who_reports_and_the_person_is_who_did_it(action, more):
    """PS3.15 A.5.3.11: who performed it is no requestor; the subject has a detail "Alert Description"."""
    out = told(action, actor="anna", address="10.1.2.3", **more)
    assert participants(out) == [("MYOSCREEN", "true", None, "myo1"), ("anna", "false", None, "10.1.2.3")]
    details = {each.get("type"): each.get("value") for each in out.iter("ParticipantObjectDetail")}
    assert base64.b64decode(details["Alert Description"]).decode() == action.replace("_", " ")
    assert participants(told("audit_heads_begun_anew")) == [("MYOSCREEN", "true", None, "myo1")]


def test_a_login_that_is_shut_out_is_an_alert_too():
    found = messages(line("login", actor="anna", ok=False, detail={"locked": True}), None, US)
    assert [event(ET.fromstring(each.xml))[:3] for each in found] == [
        ("110114", "E", "8"),
        ("110113", "E", "8"),
    ]
    assert [each.outcome for each in found] == [Outcome.SERIOUS] * 2
    waits = messages(line("login", actor="anna", ok=False, detail={"address_waits": True}), None, US)
    assert len(waits) == 2


def test_a_patient_is_a_keyed_hash_or_named_and_never_both():
    hashed = told("analysis_viewed", HASHED, **OF_IMAGES)
    assert objects(hashed) == [
        ("110180", "1.2.826.0.1", "3", "analysis 12"),
        ("patient_id_keyed_hash", "ab12", "1", "not told"),
    ]
    assert objects(told("analysis_viewed", NAMED, **OF_IMAGES))[1] == ("2", "PID-4711", "1", "Muster^Erika")
    gone = Subject(study_uid=None, patient="", hashed=True)
    assert objects(told("rows_purged", gone, object_type="study", object_id="3")) == [
        ("study", "3", "3", "study 3"),
        ("patient_id_keyed_hash", "unknown", "1", "not told"),
    ]


def test_what_the_line_says_besides_is_kept_as_details():
    root = told("delivery_sent", HASHED, **OF_IMAGES, detail={"peer": "pacs", "codes": ["0xA700"], "sent": 0})
    pairs = {
        each.get("type"): base64.b64decode(each.get("value")).decode()
        for each in root.findall("ParticipantObjectIdentification/ParticipantObjectDetail")
    }
    assert pairs == {"audit_record_number": "7", "peer": "pacs", "codes": '["0xA700"]', "sent": "0"}
    asked = told("analyses_listed", actor="anna", detail={"rows": 3})
    query = asked.findtext("ParticipantObjectIdentification/ParticipantObjectQuery")
    assert base64.b64decode(query) == b'{"rows": 3}'


def test_the_record_itself_and_other_things_are_objects():
    assert objects(told("audit_viewed", actor="anna")) == [("12", "/audit", "13", "Security Audit Log")]
    assert objects(told("peer_echoed", object_type="peer", object_id="pacs")) == [
        ("peer", "pacs", "13", "peer")
    ]
    assert objects(told("login", actor="anna")) == []


def test_times_are_utc_and_who_tells_is_named():
    there = timezone(timedelta(hours=2))
    root = told("login", actor="anna", at=datetime(2026, 7, 1, 12, 0, tzinfo=there))
    assert root.find("EventIdentification").get("EventDateTime") == "2026-07-01T10:00:00.000+00:00"
    assert root.find("AuditSourceIdentification").attrib == {
        "AuditSourceID": "MYOSCREEN",
        "AuditEnterpriseSiteID": "Klinik am See",
    }
    nameless = messages(line("login"), None, Reporter(ae_title="MYOSCREEN", host="myo1"))
    assert "AuditEnterpriseSiteID" not in nameless[0].xml


def test_a_name_that_xml_cannot_hold_breaks_nothing(tmp_path):
    evil = "a\x00b\x0b\x1b[31m<&\"'\ud800\uffff\u2028é"
    found = messages(line("login", actor=evil, ok=False, detail={"reason": evil}), None, US)
    assert faults(tmp_path, [each.xml for each in found]) == ""
    assert ET.fromstring(found[0].xml).find("ActiveParticipant").get("UserID").startswith("a\ufffdb\ufffd")
