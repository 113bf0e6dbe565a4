"""Words for the codes of results, of what people do about them, and of deliveries."""

from typing import Any, Final

from jinja2 import Environment

from service.core import wording

Table = dict[str, str]

STATES: Final[Table] = {
    "receiving": "receiving",
    "closed": "complete",
    "ready": "waiting",
    "running": "running",
    "measured": "measured",
    "not_assessable": "not assessable",
    "not_eligible": "not eligible",
    "failed": "failed",
    "superseded": "superseded",
    "withdrawn": "withdrawn",
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
REFUSALS: Final[Table] = {
    "labelmap": "Does not take the label map: gets every set with a binary segmentation.",
    "comprehensive3d": "Does not take Comprehensive 3D SR: gets every set with the report in an older class.",
    "comprehensive": "Does not take Comprehensive SR: gets every set with the report as Enhanced SR.",
}
CONTRASTS: Final[Table] = {
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
MEASURES: Final[Table] = {
    "compartment_ml": "Compartment",
    "lmm_ml": "Lean muscle (LMM)",
    "imat_ml": "Intermuscular fat (IMAT)",
    "imat_fraction": "IMAT share of compartment",
    "mean_csa_cm2": "Mean cross-section",
    "mean_lean_csa_cm2": "Mean lean cross-section",
    "fat_signal_fraction": "Fat signal fraction",
    "lmm_height_index_ml_m2": "LMM height index",
}
FLAGS: Final[Table] = {
    "imat_high": "IMAT above reference",
    "fsf_high": "signal fat fraction above reference",
    "lmm_low": "LMM below reference",
}
FLAG_STATES: Final[Table] = {
    "raised": "raised",
    "indeterminate": "indeterminate",
    "not_raised": "not raised",
    "not_evaluable": "not evaluable",
}
SCORE_STATES: Final[Table] = {
    "scored": "scored",
    "no_norm": "no norm applies",
    "out_of_range": "outside the range of the norm",
    "missing_demographics": "age, sex or height is missing",
}
QUADRANTS: Final[Table] = {
    "high_imat_low_lmm": "higher IMAT, lower LMM",
    "high_imat_high_lmm": "higher IMAT, higher LMM",
    "low_imat_low_lmm": "lower IMAT, lower LMM",
    "low_imat_high_lmm": "lower IMAT, higher LMM",
    "between": "between the corners",
}
COMPLETION: Final[Table] = {
    "quiet": "no image came for the quiet time, and the slices have no hole",
    "hard_cap": "the longest waiting time passed",
    "counted": "as many images came as the sender has, and the slices have no hole",
    "performed": "every image came that the scanner says it made (MPPS)",
}
OUTPUTS: Final[Table] = {
    "SEG": "Segmentation (SEG)",
    "SR": "Structured report (SR)",
    "SC": "Summary picture (SC)",
    "PDF": "Report (encapsulated PDF)",
    "GSPS": "Outlines (presentation state)",
    "KOS": "Rejection note",
}
WITHDRAWALS: Final[Table] = {
    "wrong_drawing": "the muscles were not drawn rightly",
    "wrong_patient": "the images are of another person",
    "wrong_images": "the images are not fit for the measurement",
    "software_fault": "fault of the software or of its data",
    "other": "another reason",
}
#: Segments, and numbers whose difference between automatic and edited drawings is told.
SEGMENTS: Final[Table] = dict(wording.SEGMENTS)
DIFFERENCE_NAMES: Final[Table] = {
    "compartment_ml": "volume of the compartment",
    "lmm_ml": "volume of lean muscle",
    "imat_ml": "volume of intermuscular fat",
    "imat_points": "share of intermuscular fat",
}
DIFFERENCE_UNITS: Final[Table] = {"mL": "ml", "points": "percentage points"}
VERDICT_WORDS: Final[Table] = {"accept": "accepted", "minor": "accepted, small faults", "reject": "rejected"}
FLAG_STEP_WORDS: Final[Table] = {
    "acknowledge": "acknowledged",
    "dismiss": "dismissed",
    "hand_over": "handed over",
    "comment": "comment",
    "reopen": "opened again",
}
HANDLINGS: Final[Table] = {
    "open": "open",
    "handed_over": "handed over",
    "acknowledged": "acknowledged",
    "dismissed": "dismissed",
}
NOTICES: Final[Table] = {
    "review_needs_verdict": "A review needs a verdict.",
    "review_accept": "The drawing is accepted. What was held for this goes out.",
    "review_minor": "The drawing is accepted with small faults. What was held for this goes out.",
    "review_reject": "The drawing is rejected, and the result is withdrawn.",
    "flag_step_needed": "Say what is to be done about the flags.",
    "flag_comment_needed": "This needs a few words that say why.",
    "flag_taker_needed": "Say who takes it over.",
    "flags_handled": "Written down.",
    "rerun_ordered": "The rerun is in the queue, as the next version.",
    "replay_ordered": "The replay is in the queue. Its outcome appears on this page; nothing is published.",
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
    "results_opened": "Results are open. Everything that you look at is recorded with this opening.",
    "results_closed": "Results are closed again.",
    "opening_needs_reason": "To open results, say why in at least ten characters.",
    "password_changed": "The password is changed. Other logins of yours have ended.",
    "role_changed": "The role is changed. Logins of this person have ended.",
    "user_disabled": "The account is disabled. Logins of this person have ended.",
    "user_enabled": "The account may log in again.",
    "key_revoked": "The key lets nobody in any more.",
    "nothing_found": "Nothing here has exactly that UID, accession number or patient ID.",
    "peer_reset": "Everything that waited for the peer goes now.",
    "peer_retried": "Everything that was given up for the peer is sent again.",
    "echo_ok": "The peer answered C-ECHO.",
    "activation_active": "It is in force from now on.",
    "activation_proposed": "It is proposed. Another administrator has to confirm it.",
    "activation_refused": "The proposal is refused.",
    "echo_failed": "The peer did not answer C-ECHO.",
}
#: PS3.7 Annex C and PS3.4 table B.2-1; ranges by their first digits.
DIMSE: Final[Table] = {
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
#: What lets a caller in who was turned away for another reason than not being listed.
REMEDIES: Final[Table] = {
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
#: Why a reference table is not drawn behind results.
MISFITS: Final[Table] = {
    "phantom_only": "for the bundled phantom only",
    "other_definition": "of another definition",
    "other_network": "made with another network",
    "other_fat_method": "made with another fat method",
    "other_contrast": "of another contrast",
    "other_region": "of another region",
    "other_coverage": "of another stretch of patient",
    "adjusts_values": "its values are adjusted for height or scanner, these are not",
}
#: How far a reference table may be trusted, in one word.
NORM_STATUS_WORDS: Final[Table] = {
    "demonstration": "demonstration",
    "provisional": "provisional",
    "published": "published",
    "local": "of this site",
}
#: DICOM Patient's Sex, PS3.3 C.7.1.1.
SEXES: Final[Table] = {"F": "female", "M": "male", "O": "other sex"}
#: What a worker does, one after the other.
STEPS: Final[Table] = {
    "scan": "reading the headers",
    "scores": "scoring",
    "decode": "reading the images",
    "network": "network",
    "measure": "measuring",
    "objects": "making the objects",
}


def install(environment: Environment) -> None:
    """Give templates these tables."""
    tables: dict[str, Any] = {name: table for name, table in globals().items() if name.isupper()}
    environment.globals.update(tables, BLOCK=wording.BLOCK)
