"""Which DICOM audit message each line of the audit record becomes.

Events and their codes are those of PS3.15 A.5.3 and PS3.16 CID 400 to 403. What DICOM has no event for goes
under a code of our own (CID 400 may be extended), so that no line is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


@dataclass(frozen=True)
class Coded:
    """A coded value: code, coding scheme, meaning."""

    code: str
    scheme: str
    meaning: str


def dcm(code: str, meaning: str) -> Coded:
    """A code of PS3.16 Annex D."""
    return Coded(code, "DCM", meaning)


def rfc(code: str, meaning: str) -> Coded:
    """A value of PS3.15 A.5.1.2, which has them of RFC 3881."""
    return Coded(code, "RFC-3881", meaning)


def own(code: str) -> Coded:
    """A code of ours; it means what it says."""
    return Coded(code, "99MYOSCREEN", code.replace("_", " "))


#: PS3.16 CID 400.
ACTIVITY: Final = dcm("110100", "Application Activity")
LOG_USED: Final = dcm("110101", "Audit Log Used")
BEGIN_TRANSFER: Final = dcm("110102", "Begin Transferring DICOM Instances")
ACCESSED: Final = dcm("110103", "DICOM Instances Accessed")
TRANSFERRED: Final = dcm("110104", "DICOM Instances Transferred")
DELETED: Final = dcm("110105", "DICOM Study Deleted")
EXPORT: Final = dcm("110106", "Export")
QUERY: Final = dcm("110112", "Query")
ALERT: Final = dcm("110113", "Security Alert")
AUTHENTICATION: Final = dcm("110114", "User Authentication")
#: PS3.16 CID 401 and 403.
STARTED: Final = dcm("110120", "Application Start")
STOPPED: Final = dcm("110121", "Application Stop")
LOGIN: Final = dcm("110122", "Login")
LOGOUT: Final = dcm("110123", "Logout")
NODE: Final = dcm("110126", "Node Authentication")
OVERRIDE: Final = dcm("110127", "Emergency Override Started")
OVERRIDE_ENDED: Final = dcm("110138", "Emergency Override Stopped")
CONFIGURATION: Final = dcm("110129", "Security Configuration")
RESTRICTED: Final = dcm("110132", "Use of Restricted Function")
USER_CHANGED: Final = dcm("110137", "User Security Attributes Changed")
#: PS3.16 CID 402.
APPLICATION: Final = dcm("110150", "Application")
DESTINATION: Final = dcm("110152", "Destination Role ID")
SOURCE: Final = dcm("110153", "Source Role ID")
MEDIA: Final = dcm("110154", "Destination Media")
#: PS3.16 CID 405.
URI_MEDIA: Final = dcm("110037", "URI")
STUDY_UID: Final = dcm("110180", "Study Instance UID")


class Outcome(StrEnum):
    """EventOutcomeIndicator."""

    SUCCESS = "0"
    #: The action may be tried again.
    MINOR = "4"
    #: The action was ended, for instance after too many wrong passwords.
    SERIOUS = "8"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event: what is identified, how, and of which kind."""

    id: Coded
    #: EventActionCode: create, read, update, delete or execute.
    action: str
    type: Coded | None = None
    outcome: Outcome = Outcome.SUCCESS


def _event(code: Coded, action: str, kind: Coded | None = None) -> Event:
    return Event(id=code, action=action, type=kind)


_CHANGED_PEOPLE = (
    *("user_added", "user_enabled", "user_disabled", "password_changed", "password_reset"),
    *("key_added", "key_revoked", "role_changed", "account_change"),
)
#: Actions of which the name does not say it already.
_EVENTS: Final[dict[str, Event]] = {
    "door_started": _event(ACTIVITY, "E", STARTED),
    "door_stopped": _event(ACTIVITY, "E", STOPPED),
    "audit_viewed": _event(LOG_USED, "R"),
    "audit_exported": _event(LOG_USED, "R"),
    "delivery_begun": _event(BEGIN_TRANSFER, "E"),
    "delivery_sent": _event(TRANSFERRED, "C"),
    "delivery_failed": _event(TRANSFERRED, "C"),
    "series_received": _event(TRANSFERRED, "C"),
    "analysis_finished": _event(ACCESSED, "C"),
    "result_withdrawn": _event(ACCESSED, "U"),
    "result_reviewed": _event(ACCESSED, "U"),
    "flags_handled": _event(ACCESSED, "U"),
    "pixels_purged": _event(ACCESSED, "D"),
    "results_purged": _event(ACCESSED, "D"),
    "patient_erased": _event(DELETED, "D"),
    "rows_purged": _event(DELETED, "D"),
    "study_looked_up": _event(QUERY, "E"),
    "caller_rejected": _event(ALERT, "E", NODE),
    "access": _event(ALERT, "E", RESTRICTED),
    "results_opened": _event(ALERT, "E", OVERRIDE),
    "results_closed": _event(ALERT, "E", OVERRIDE_ENDED),
    "audit_heads_begun_anew": _event(ALERT, "E", CONFIGURATION),
    "login": _event(AUTHENTICATION, "E", LOGIN),
    "logout": _event(AUTHENTICATION, "E", LOGOUT),
    **dict.fromkeys(_CHANGED_PEOPLE, _event(ALERT, "E", USER_CHANGED)),
}


def events(
    action: str, *, ok: bool, object_type: str | None, detail: Mapping[str, Any] | None
) -> tuple[Event, ...]:
    """The events that a line of the audit record tells of: one, or two where a login is shut out."""
    found = _EVENTS.get(action) or _by_name(action, object_type)
    if ok:
        return (found,)
    told = detail or {}
    shut_out = action == "login" and bool(told.get("locked") or told.get("address_waits"))
    outcome = Outcome.SERIOUS if shut_out else Outcome.MINOR
    failed = Event(id=found.id, action=found.action, type=found.type, outcome=outcome)
    if not shut_out:
        return (failed,)
    return failed, Event(id=ALERT, action="E", type=USER_CHANGED, outcome=outcome)


def _by_name(action: str, object_type: str | None) -> Event:
    """What the last word of an action says: what was viewed, exported, listed; else an event of our own."""
    about_images = object_type in ("analysis", "study")
    if action.endswith("_viewed") and about_images:
        return _event(ACCESSED, "R")
    if action.endswith("_exported") and about_images:
        return _event(EXPORT, "R")
    if action.endswith("_listed"):
        return _event(QUERY, "E")
    return _event(own(action), "E")
