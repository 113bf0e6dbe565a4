"""How codes, numbers and times are worded for people.

Nothing here claims a diagnosis, a risk or an urgency: values, their place in a reference, and why one is
withheld.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment

from service.core import trouble_words, wording
from service.core.series import BlockPlace

#: Shown where a value cannot be given.
NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

STATES = {
    "receiving": "receiving",
    "closed": "complete",
    "ready": "waiting",
    "running": "running",
    "measured": "measured",
    "not_assessable": "not assessable",
    "not_eligible": "not eligible",
    "failed": "failed",
    "superseded": "superseded",
    "pending": "waiting",
    "sending": "sending",
    "sent": "stored by peer",
    "confirmed": "confirmed",
    "dead": "given up",
    "held": "held for review",
    "open": "cannot be reached",
    "half_open": "being probed",
}
#: What a peer does not take, and what every result is made with for it instead.
REFUSALS = {
    "labelmap": "Does not take the label map: gets every set with a binary segmentation.",
    "comprehensive3d": "Does not take Comprehensive 3D SR: gets every set with the report in an older class.",
    "comprehensive": "Does not take Comprehensive SR: gets every set with the report as Enhanced SR.",
}
CONTRASTS = {
    "t2_tse": "T2 TSE",
    "t2_haste": "T2 HASTE",
    "t1": "T1",
    "water": "Dixon water",
    "fat": "Dixon fat",
    "in_phase": "Dixon in-phase",
    "opposed": "Dixon opposed-phase",
    "fat_fraction": "Fat fraction",
    "stir": "STIR",
    "other": "other",
}
MEASURES = {
    "compartment_ml": "Compartment",
    "lmm_ml": "Lean muscle (LMM)",
    "imat_ml": "Intermuscular fat (IMAT)",
    "imat_fraction": "IMAT share of compartment",
    "mean_csa_cm2": "Mean cross-section",
    "mean_lean_csa_cm2": "Mean lean cross-section",
    "fat_signal_fraction": "Fat signal fraction",
    "lmm_height_index_ml_m2": "LMM height index",
}
FLAGS = {
    "imat_high": "IMAT above reference",
    "fsf_high": "signal fat fraction above reference",
    "lmm_low": "LMM below reference",
}
FLAG_STATES = {
    "raised": "raised",
    "indeterminate": "indeterminate",
    "not_raised": "not raised",
    "not_evaluable": "not evaluable",
}
SCORE_STATES = {
    "scored": "scored",
    "no_norm": "no norm applies",
    "out_of_range": "outside the range of the norm",
    "missing_demographics": "age, sex or height is missing",
}
QUADRANTS = {
    "high_imat_low_lmm": "higher IMAT, lower LMM",
    "high_imat_high_lmm": "higher IMAT, higher LMM",
    "low_imat_low_lmm": "lower IMAT, lower LMM",
    "low_imat_high_lmm": "lower IMAT, higher LMM",
    "between": "between the corners",
}
COMPLETION = {
    "quiet": "no image came for the quiet time, and the slices have no hole",
    "hard_cap": "the longest waiting time passed",
    "counted": "as many images came as the sender has, and the slices have no hole",
}
OUTPUTS = {
    "SEG": "Segmentation (SEG)",
    "SR": "Structured report (SR)",
    "SC": "Summary picture (SC)",
    "PDF": "Report (encapsulated PDF)",
    "GSPS": "Outlines (presentation state)",
    "KOS": "Rejection note",
}
WITHDRAWALS = {
    "wrong_drawing": "the muscles were not drawn rightly",
    "wrong_patient": "the images are of another person",
    "wrong_images": "the images are not fit for the measurement",
    "software_fault": "fault of the software or of its data",
    "other": "another reason",
}
VERDICT_WORDS = {"accept": "accepted", "minor": "accepted, small faults", "reject": "rejected"}
FLAG_STEP_WORDS = {
    "acknowledge": "acknowledged",
    "dismiss": "dismissed",
    "hand_over": "handed over",
    "comment": "comment",
    "reopen": "opened again",
}
HANDLINGS = {
    "open": "open",
    "handed_over": "handed over",
    "acknowledged": "acknowledged",
    "dismissed": "dismissed",
}
NOTICES = {
    "review_needs_verdict": "A review needs a verdict.",
    "review_accept": "The drawing is accepted. What was held for this goes out.",
    "review_minor": "The drawing is accepted with small faults. What was held for this goes out.",
    "review_reject": "The drawing is rejected, and the result is withdrawn.",
    "flag_step_needed": "Say what is to be done about the flags.",
    "flag_comment_needed": "This needs a few words that say why.",
    "flags_handled": "Written down.",
    "rerun_ordered": "The rerun is in the queue, as the next version.",
    "rescore_ordered": "New scores of the stored measures are in the queue, as the next version.",
    "retry_ordered": "The object is sent again.",
    "opt_out_added": "The patient is on the list.",
    "opt_out_known": "The patient was on the list already.",
    "opt_out_removed": "The line is off the list. What was declined meanwhile can be run again.",
    "opt_out_needs_patient": "An opt-out needs a patient ID.",
    "withdrawn": "The result is withdrawn. Whoever was sent it is told by a report and a rejection note.",
    "withdrawal_needs_reason": "A withdrawal needs a reason.",
    "identity_reissued": "The images count under their new identity now, and are analysed anew.",
    "hold_set": "Everything of this study is kept until the hold is released.",
    "hold_released": "The study goes after its time again.",
    "hold_needs_reason": "A hold needs a reason.",
    "password_changed": "The password is changed. Other logins of yours have ended.",
    "nothing_found": "Nothing here has exactly that UID, accession number or patient ID.",
    "peer_reset": "Everything that waited for the peer goes now.",
    "peer_retried": "Everything that was given up for the peer is sent again.",
    "echo_ok": "The peer answered C-ECHO.",
    "echo_failed": "The peer did not answer C-ECHO.",
}
#: PS3.7 Annex C and PS3.4 table B.2-1; ranges by their first digits.
DIMSE = {
    "0000": "success",
    "0110": "processing failure",
    "0111": "duplicate SOP instance",
    "0117": "invalid SOP instance",
    "0122": "SOP class not supported",
    "0124": "not authorised",
    "0112": "no such object",
    "0119": "class and object conflict",
    "0131": "duplicate transaction",
    "0213": "resource limitation",
    "A7": "out of resources",
    "A9": "data set does not match SOP class",
    "B0": "stored with warning",
    "C": "cannot understand",
}


def missing(value: object) -> bool:
    """Whether there is nothing to show."""
    return value is None or value == ""


def word(code: str | None, table: dict[str, str] | None = None) -> str:
    """The words for a code; a code without words is shown as it is, without underscores."""
    if code is None:
        return NOTHING
    return (table if table is not None else STATES).get(code, code.replace("_", " "))


def moment(at: datetime | None) -> str:
    """A time in UTC, to the second."""
    return NOTHING if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def number(value: float | None, digits: int = 1) -> str:
    """A number with fixed digits and a true minus sign."""
    return NOTHING if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A share from 0 to 1 as percent."""
    return NOTHING if value is None else f"{100 * value:.{digits}f} %".replace("-", MINUS)


def interval(pair: list[float] | None, digits: int = 1) -> str:
    """Two ends of an interval."""
    return NOTHING if pair is None else f"{number(pair[0], digits)} to {number(pair[1], digits)}"


def percentile(value: float | None) -> str:
    """A percentile in whole numbers, never 0 or 100."""
    return NOTHING if value is None else wording.percentile_text(value)


def in_unit(value: float | None, unit: str) -> str:
    """A measure with its unit; shares are shown in percent."""
    if value is None:
        return NOTHING
    if unit in {"1", "fraction", ""}:
        return percent(value)
    return f"{number(value)} {unit.replace('cm2', 'cm²').replace('m2', 'm²')}"


def dicom_date(text: str) -> str:
    """YYYYMMDD with hyphens, anything else as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.fullmatch(r"\d{8}", text) else text


def person_name(text: str) -> str:
    """A DICOM person name for reading: family name, then given names."""
    parts = [part.strip() for part in text.partition("=")[0].split("^")]
    family, given = parts[0], " ".join(part for part in parts[1:3] if part)
    return f"{family}, {given}" if given else family


def block_name(place: dict[str, Any]) -> str:
    """Which block of its series was measured, as a finding says it."""
    return wording.block_name(BlockPlace(**place))


def dimse(status: int | None) -> str:
    """A DIMSE status in hexadecimal, with its meaning."""
    if status is None:
        return NOTHING
    text = f"{status:04X}"
    meaning = next((words for prefix, words in DIMSE.items() if text.startswith(prefix)), None)
    return f"0x{text}" + (f" {meaning}" if meaning else "")


def size(count: int | None) -> str:
    """Bytes in a readable unit."""
    if count is None:
        return NOTHING
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def age(seconds: float | None) -> str:
    """A stretch of time in its two largest units."""
    return NOTHING if seconds is None else trouble_words.age(seconds)


#: What lets a caller in who was turned away for another reason than not being listed.
REMEDIES = {
    "called_ae_unknown": "The caller must call our AE title.",
    "may_not_send": "The peer is listed with may_send = false.",
    "tls_required": "The peer is listed with tls = true: it must come by the TLS port, with its certificate.",
    "tls_missing": "The caller must speak TLS on this port.",
    "tls_certificate_missing": "The caller must show a certificate.",
    "tls_certificate_untrusted": "The certificate is of no authority in tls_ca.",
    "tls_certificate_expired": "The certificate has expired, or is not valid yet; look at the clocks, too.",
    "tls_certificate_revoked": "The authority has taken the certificate back.",
    "tls_certificate_unusable": "The certificate is not made for this use.",
    "tls_revocations_expired": "The list of revoked certificates (tls_crl) is too old.",
    "tls_revocations_missing": "The list of revoked certificates (tls_crl) is of another authority.",
    "tls_version_refused": "The caller must speak TLS 1.2 or newer; see tls_min_version.",
    "tls_cipher_refused": "The caller must offer a cipher suite of BCP 195.",
    "tls_refused_by_peer": "The caller refused our certificate: it may not trust its authority.",
    "tls_timeout": "The handshake took too long.",
    "tls_failed": "The handshake broke off.",
}


def peer_block(reason: str, calling_ae: str, address: str, tls_subject: str | None) -> str | None:
    """A ready-to-paste ``[[peer]]`` table that would let this caller in; None where it would not help."""
    if reason not in {"calling_ae_unknown", "address_unknown", "tls_subject_unknown"}:
        return None
    name = re.sub(r"[^a-z0-9_.-]+", "-", calling_ae.strip().lower()).strip("-") or "sender"
    lines = [
        "[[peer]]",
        f"name = {_toml(name)}",
        f"ae_title = {_toml(calling_ae.strip())}",
        f"host = {_toml(address)}",
        "may_send = true",
    ]
    if tls_subject:
        lines += ["tls = true", f"tls_subject = {_toml(tls_subject)}"]
    return "\n".join(lines)


def _toml(text: str) -> str:
    """A string as TOML writes it: as JSON does, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def install(environment: Environment) -> None:
    """Give templates these words."""
    filters: dict[str, Any] = {
        "word": word,
        "refusal": REFUSALS.__getitem__,
        "moment": moment,
        "number": number,
        "percent": percent,
        "interval": interval,
        "percentile": percentile,
        "in_unit": in_unit,
        "dicom_date": dicom_date,
        "person_name": person_name,
        "block_name": block_name,
        "dimse": dimse,
        "bytes": size,
        "age": age,
    }
    environment.filters.update(filters)
    environment.tests["missing"] = missing
    environment.globals.update(
        STATES=STATES, CONTRASTS=CONTRASTS, MEASURES=MEASURES, FLAGS=FLAGS, FLAG_STATES=FLAG_STATES,
        SCORE_STATES=SCORE_STATES, QUADRANTS=QUADRANTS, COMPLETION=COMPLETION, OUTPUTS=OUTPUTS,
        BLOCK=wording.BLOCK, NOTICES=NOTICES, REMEDIES=REMEDIES, WITHDRAWALS=WITHDRAWALS,
        VERDICT_WORDS=VERDICT_WORDS, FLAG_STEP_WORDS=FLAG_STEP_WORDS, HANDLINGS=HANDLINGS,
    )  # fmt: skip
