"""Words for the codes of the status page and of the audit record; what is missing is shown as its code."""

from typing import Any, Final

from jinja2 import Environment

Table = dict[str, str]

CHECKS: Final[Table] = {
    "database": "database",
    "broker": "queue",
    "spool": "folder of images",
    "model": "network",
    "activation": "what is in force",
}
#: Pictures that a result folder may hold, in the order in which the page shows them.
PICTURES: Final[Table] = {
    "overlay.png": "Segmentation on the images",
    "profile.png": "Profile along the spine",
    "reference.png": "Reference curve",
}
INPUT_ROLES: Final[Table] = {
    "image": "Image",
    "water": "Water image",
    "fat": "Fat image",
    "dixon_part": "Part of a Dixon acquisition",
    "station": "Further station",
    "station_fat": "Fat image of a further station",
}
#: How a replay is not the same as the run that it repeats.
REPLAY_NOTES: Final[Table] = {
    "network_differs": "another network",
    "provider_differs": "another execution provider",
    "precision_differs": "another precision",
    "device_differs": "another kind of device",
    "device_not_known": "not known on what device it was measured",
    "software_differs": "other software",
    "scores_not_compared": "scores not compared, for norms or policy changed",
}
DOORS: Final[Table] = {"receiver": "receiver", "worker": "worker", "web": "web"}
SEVERITIES: Final[Table] = {"note": "note", "warning": "warning", "critical": "critical"}
ROLES: Final[Table] = {
    "viewer": "viewer",
    "reviewer": "reviewer",
    "operator": "operator",
    "admin": "administrator",
    "auditor": "auditor",
    "monitor": "monitoring",
    "sender": "sender",
}
#: Why a caller was not let in.
REJECTIONS: Final[Table] = {
    "called_ae_unknown": "called another AE title",
    "calling_ae_unknown": "calling AE title unknown",
    "address_unknown": "address unknown",
    "may_not_send": "may not send",
    "tls_required": "came without TLS",
    "tls_subject_unknown": "subject of the certificate unknown",
    "tls_missing": "spoke no TLS",
    "tls_certificate_missing": "showed no certificate",
    "tls_certificate_untrusted": "certificate of an unknown authority",
    "tls_certificate_expired": "certificate not valid now",
    "tls_certificate_revoked": "certificate revoked",
    "tls_certificate_unusable": "certificate not made for this",
    "tls_revocations_expired": "list of revoked certificates too old",
    "tls_revocations_missing": "no list of revoked certificates",
    "tls_version_refused": "version of TLS too old",
    "tls_cipher_refused": "no cipher suite in common",
    "tls_refused_by_peer": "refused our certificate",
    "tls_timeout": "TLS handshake too slow",
    "tls_failed": "TLS handshake broke off",
    "tls_files_unusable": "certificate or key cannot be used",
}
COUNTERS: Final[Table] = {
    "own_results_dropped": "Own results that came back",
    "unwanted_refused": "Unwanted objects, refused",
    "unwanted_discarded": "Unwanted objects, discarded",
    "instances_unreadable": "Unreadable objects, refused",
    "instances_too_large": "Objects too large, refused",
    "instances_refused_disk": "Objects refused for want of disk",
    "instances_failed": "Objects refused by a fault here",
    "edits_again": "Edited segmentations that came again alike",
    "edits_of_unknown_images": "Edited segmentations of images that are not here",
    "edits_of_another_patient": "Edited segmentations of another patient or study, refused",
    "edits_in_conflict": "Edited segmentations that came again otherwise, refused",
    "instances_identity_changed": "Images that came again under another identity",
    "instances_same_pixels": "Images that came again alike",
    "instance_conflicts": "Images that came again otherwise",
    "leases_expired": "Work taken from a worker that gave no sign of life",
    "instances_not_compared": "Images that came again and could not be compared",
}
#: What the audit record calls what somebody did.
ACTIONS: Final[Table] = {
    "access": "access",
    "account_change": "change of an account or key",
    "activation": "change asked for",
    "activation_confirmed": "change confirmed",
    "activation_made": "change made",
    "activation_proposed": "change proposed",
    "activation_refused": "change refused",
    "activations_listed": "changes listed",
    "analyses_listed": "analyses listed",
    "analysis_failed": "analysis failed",
    "analysis_finished": "analysis finished",
    "analysis_replayed": "analysis replayed",
    "analysis_viewed": "analysis viewed",
    "audit_exported": "audit record exported",
    "audit_heads_begun_anew": "audit heads begun anew",
    "audit_viewed": "audit viewed",
    "backfill_added": "back-fill ordered",
    "backfill_cleared": "back-fill cleared",
    "backfill_listed": "back-fill listed",
    "backfill_retried": "back-fill tried again",
    "backup_ordered": "backup ordered",
    "backup_restored": "backup put back",
    "caller_rejected": "caller rejected",
    "choice_viewed": "choice viewed",
    "commitment_answered": "commitment answered",
    "commitment_given_up": "commitment given up",
    "deliveries_listed": "deliveries listed",
    "delivery_begun": "delivery begun",
    "delivery_confirmed": "delivery confirmed",
    "delivery_failed": "delivery failed",
    "delivery_not_confirmed": "delivery not confirmed",
    "delivery_sent": "delivery sent",
    "delivery_retry_ordered": "delivery ordered again",
    "door_started": "process started",
    "door_stopped": "process ended",
    "edit_refused": "corrected segmentation refused",
    "edit_taken": "corrected segmentation taken",
    "events_viewed": "events viewed",
    "finding_viewed": "finding viewed",
    "flags_handled": "flags handled",
    "flags_viewed": "flags viewed",
    "funnel_studies_listed": "studies of the funnel listed",
    "population_viewed": "population viewed",
    "hold_released": "hold released",
    "hold_set": "hold set",
    "holds_listed": "holds listed",
    "identity_reissued": "identity reissued",
    "key_added": "key added",
    "key_revoked": "key revoked",
    "login": "login",
    "logout": "logout",
    "opt_out_added": "opt-out added",
    "opt_out_removed": "opt-out removed",
    "opt_outs_listed": "opt-outs listed",
    "output_exported": "output exported",
    "password_changed": "password changed",
    "password_reset": "password reset",
    "patient_erased": "patient erased",
    "patient_exported": "patient exported",
    "peer_circuit_closed": "peer reached again",
    "peer_circuit_opened": "peer away",
    "peer_circuit_reset": "peer tried again by hand",
    "peer_echoed": "peer echoed",
    "peer_given_up": "peer given up",
    "peer_retry_ordered": "peer tried again",
    "picture_viewed": "picture viewed",
    "pixels_purged": "images purged",
    "report_viewed": "report viewed",
    "rerun_ordered": "rerun ordered",
    "replay_ordered": "replay ordered",
    "rescore_ordered": "rescore ordered",
    "result_reviewed": "result reviewed",
    "result_withdrawn": "result withdrawn",
    "results_closed": "results closed",
    "results_opened": "results opened",
    "results_purged": "results purged",
    "reviews_listed": "reviews listed",
    "reviews_viewed": "reviews viewed",
    "role_changed": "role changed",
    "rows_purged": "rows purged",
    "series_received": "series received",
    "slices_viewed": "slices viewed",
    "study_looked_up": "study looked up",
    "user_added": "user added",
    "user_disabled": "user disabled",
    "user_enabled": "user enabled",
    "variant_refused": "kind of object refused",
    "withdrawal_not_told": "withdrawal not told",
    "withdrawal_told": "withdrawal told",
    "worklist_listed": "worklist of flags listed",
}
OUTCOMES: Final[Table] = {"ok": "ok", "refused": "refused", "failed": "failed"}
#: What a line of the audit record is about.
OBJECTS: Final[Table] = {
    "activation": "change",
    "analysis": "analysis",
    "audit": "audit record",
    "commitment": "commitment",
    "delivery": "delivery",
    "door": "process",
    "edit": "correction",
    "key": "key",
    "opening": "opening",
    "opt_out": "opt-out",
    "peer": "peer",
    "study": "study",
    "user": "user",
}

#: What somebody is told whose login came to nothing; what else went wrong is for the audit record.
LOGIN_REFUSALS: Final[Table] = {
    "password": (
        "The name or the password is not right, or there were too many tries; after five, wait five minutes."
    ),
    "oidc_state": "This login was not begun in this browser, or too long ago. Begin again.",
    "oidc_used": "This login was not begun in this browser, or too long ago. Begin again.",
    "oidc_declined": "The provider let nobody in.",
    "oidc_no_role": "The provider knows you, but it gives you no role here. Ask whoever gives out roles.",
    "oidc_disabled": "An administrator has disabled this account.",
    "oidc_tries": "There were too many tries by the provider from your address. Wait five minutes.",
    "unreachable": "The provider cannot be reached at the moment.",
    "untrusted": "The answer of the provider cannot be used. The audit record has the reason.",
}
#: Why a password was not changed.
PASSWORD_REFUSALS: Final[Table] = {
    "none": "There is no password here that could be changed.",
    "not_alike": "The new password was not repeated alike.",
    "same": "The new password is the old one.",
    "wrong": "The current password is not right.",
    "length": "A password has 12 to 128 characters.",
    "weak": "This password is too easy to guess.",
}
ACTIVATION_KINDS: Final[Table] = {
    "network": "Network",
    "norms": "Reference tables",
    "policy": "Policy",
    "rules": "Rules",
}
ACTIVATION_STATES: Final[Table] = {
    "proposed": "proposed",
    "active": "in force",
    "replaced": "replaced",
    "refused": "refused",
    "rolled_back": "rolled back",
}
#: Who is no person and no key.
ACTIVATION_ACTORS: Final[Table] = {"the settings": "the settings", "command line": "the command line"}
#: What a worker writes that took up the settings; what people write is shown as it is.
ACTIVATION_REASONS: Final[Table] = {
    "The first, from the settings.": "The first, from the settings.",
    "The setting was changed.": "The setting was changed.",
    "The file that the setting names was changed.": "The file that the setting names was changed.",
}
SEX_NAMES: Final[Table] = {"F": "Women", "M": "Men"}
#: By what results of many people are told apart.
POPULATION_GROUPS: Final[Table] = {"scanner": "Scanner", "protocol": "Protocol", "site": "Site"}
#: Where a month lies beside its control limits.
DRIFT_STATES: Final[Table] = {
    "baseline": "in the baseline",
    "inside": "within its limits",
    "outside": "outside its limits",
    "no_limits": "no baseline yet",
}


def install(environment: Environment) -> None:
    """Give templates these tables."""
    tables: dict[str, Any] = {name: table for name, table in globals().items() if name.isupper()}
    environment.globals.update(tables)
