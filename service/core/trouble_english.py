"""Every trouble in three English sentences: what is wrong, why it matters, and what to do."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ENGLISH: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "database_down": (
            "The database does not answer.",
            "Senders get 0xA700 and nothing is analysed; nothing that was answered with SUCCESS is lost.",
            "Start the database, and look at the address in the settings; all goes on by itself.",
        ),
        "spool_broken": (
            "Received images cannot be kept: {reason}",
            "Every image is refused with 0xA700.",
            "Look at the folder spool below HOME: is it there, on a disk that can be written, and ours?",
        ),
        "broker_broken": (
            "The queue does not answer: {reason}",
            "Nothing is analysed or sent until it does; nothing is lost.",
            "Start Redis, and look at BROKER_URL; all goes on by itself.",
        ),
        "model_broken": (
            "The network cannot be used: {reason}",
            "Nothing is analysed.",
            "Put back the file that card.toml names; `myoscreen model verify` tells which.",
        ),
        "activation_broken": (
            "A file is not the one that was activated: {reason}",
            "Analyses wait until it is; nothing is lost.",
            "Put the file back, or have the new one activated: page Activations, `myoscreen activation`.",
        ),
        "door_gone": (
            "No {about} has said for a minute that it lives.",
            "Without a receiver no image comes in; without a worker images wait.",
            "Look whether its process or container runs, start it again, and read the end of its log.",
        ),
        "other_version": (
            "A {about} of version {version} runs beside this program.",
            "Two releases on one database can disagree.",
            "Start that process again, so that all run the same release.",
        ),
        "disk_full": (
            "The disk is full: {free_mb} MB are free below HOME.",
            "Images are refused with 0xA700, and the sender has to send them again.",
            "Make room, or let old images go (MYOSCREEN_KEEP_PIXELS_DAYS); images are then taken again.",
        ),
        "disk_low": (
            "The disk is nearly full: {free_mb} MB are free below HOME.",
            "Below MYOSCREEN_SPOOL_MIN_FREE_MB images are refused.",
            "Make room, or let old images go (MYOSCREEN_KEEP_PIXELS_DAYS).",
        ),
        "certificate_wrong": (
            "The certificate of {about} would be refused: {reason}",
            "Nobody can speak to us by TLS.",
            "Put certificate, key and authority right; they are taken without a restart.",
        ),
        "certificate_ended": (
            "The certificate of {about} has expired.",
            "Nobody can speak to us by TLS.",
            "Put a new certificate in its place; it is taken without a restart.",
        ),
        "certificate_ends": (
            "The certificate of {about} is valid for {days} more days.",
            "After that nobody can speak to us by TLS.",
            "Have it renewed and put the new one in its place; it is taken without a restart.",
        ),
        "backlog": (
            "{count} analyses wait or run.",
            "Results come late.",
            "Add a worker, or look whether one hangs (status page, doors).",
        ),
        "waits_too_long": (
            "An analysis has waited for {age}.",
            "Results come late.",
            "Look whether a worker lives, and at its log.",
        ),
        "runs_too_long": (
            "An analysis has run for {age}.",
            "A worker may hang, or work on a broken disk.",
            "Look at the worker's log; start it again, and the analysis is begun anew.",
        ),
        "delivers_too_late": (
            "An object has waited for {age} to be stored by a peer.",
            "The PACS does not have the result.",
            "The status page tells for each peer what waits, and why.",
        ),
        "analyses_failed": (
            "{count} analyses were given up within a day.",
            "These images have no result.",
            "The list, filtered by state failed, tells the reason of each; run them again once it is mended.",
        ),
        "images_set_aside": (
            "{count} images came with other content under an identifier that is taken.",
            "The first stay; a result may be of an outdated image.",
            "Look at the analyses concerned, and ask the sender which of the two is right.",
        ),
        "nothing_received": (
            "No image has come yet.",
            "A new installation, or a route that does not lead here.",
            "Send one from the PACS, or try `myoscreen selftest`.",
        ),
        "no_images": (
            "No image has come for {age}.",
            "A routing rule may be broken, and nobody would miss the results.",
            "Look at the routing rule of the PACS, and at callers that were turned away (status page).",
        ),
        "no_results": (
            "Images have come for {age}, and no analysis was finished since.",
            "Results have stopped.",
            "Look at the worker's log, and whether series are closed (status page).",
        ),
        "peer_away": (
            "The peer {about} cannot be reached for {age}.",
            "Its results wait; nothing is lost.",
            "`myoscreen echo {about}`: is it on, are host, port and AE titles right, does a firewall block?",
        ),
        "peer_refuses": (
            "The peer {about} has refused {count} objects for good.",
            "It does not have these results.",
            "The status page tells the DIMSE status. Mend the cause there, then send them again.",
        ),
        "callers_rejected": (
            "{count} callers were turned away within a day.",
            "A scanner with a wrong AE title sends nothing, and may not say so.",
            "The status page lists them, each with what would let it in.",
        ),
        "clock_differs": (
            "Times were written that are {age} ahead of this clock.",
            "Waiting times and the audit record go wrong.",
            "Have all hosts take the time from one server (NTP).",
        ),
        "audit_not_sealed": (
            "Lines of the audit record have waited {age} to be sealed.",
            "Until then a line could be changed unseen.",
            "A worker seals them: look whether one lives, and in its log for audit_not_sealed.",
        ),
        "audit_not_reported": (
            "Lines of the audit record have waited {age} for the collector of audit messages.",
            "Nothing is lost, but the collector does not see what happens here.",
            "Does the collector of [audit.syslog] listen? Look in a worker's log for audit_not_forwarded.",
        ),
        "self_test_failed": (
            "The last self-test failed: {reason}.",
            "Images of patients may come to grief in the same way.",
            "`myoscreen selftest` runs it again and tells each step.",
        ),
        "notices_unsent": (
            "{count} notifications could not be sent.",
            "Nobody is told of trouble.",
            "`myoscreen notify test` tries the way; the log says why it failed.",
        ),
        "home_unusable": (
            "HOME cannot be written: {reason}",
            "Nothing can be kept.",
            "Give the folder to the account that runs the service, on a disk that can be written.",
        ),
        "home_open": (
            "{about} can be read by everybody on this machine.",
            "It holds images and names of patients.",
            "chmod 0700 {about}",
        ),
        "secret_open": (
            "{about} can be read by everybody on this machine.",
            "It holds a secret.",
            "chmod 0600 {about}",
        ),
        "database_unusable": (
            "The database cannot be used: {reason}",
            "No door starts.",
            "`myoscreen db upgrade` after an upgrade; else look at DATABASE_URL and at the server.",
        ),
        "rules_unusable": (
            "The rules cannot be used: {reason}",
            "The worker does not start.",
            "`myoscreen rules check FILE` tells the line.",
        ),
        "optout_unusable": (
            "The opt-out list cannot be used: {reason}",
            "Nothing is analysed, because nobody can tell who is on it.",
            "Put back the key of the list from the backup.",
        ),
        "peer_silent": (
            "The peer {about} does not answer C-ECHO: {reason}",
            "It gets no results.",
            "Is it on, are host, port and AE titles right on both sides, does a firewall block?",
        ),
        "not_started": (
            "No part of the service runs.",
            "No image comes in, and nothing is analysed.",
            "`myoscreen serve`, or start its containers.",
        ),
        "port_taken": (
            "Port {about} is taken by another program.",
            "The door cannot open.",
            "Set another port, or end that program (`ss -ltnp`).",
        ),
        "reviews_waiting": (
            "{count} results wait for a review, the oldest for {age}.",
            "Peers with release = after_review get nothing of them, and nothing of their studies is deleted.",
            "A reviewer looks at the page Reviews, and accepts or rejects each.",
        ),
        "values_drift": (
            "Values drift: this month or last, {count} medians of {about} left their control limits.",
            "A scanner, a protocol or the software may measure otherwise; scores and flags with it.",
            "See which on the page Population; ask what changed. To accept it: MYOSCREEN_DRIFT_SINCE.",
        ),
        "port_silent": (
            "The {about} says that it lives, but its port takes no connection.",
            "Nobody can reach it.",
            "Start it again, and look at the address that it binds.",
        ),
        "fonts_missing": (
            "No font with Chinese, Japanese and Korean letters is installed.",
            "Such letters in names are drawn as boxes in capture and PDF.",
            "Where such names occur: pip install 'myoscreen[cjk]', or Debian's fonts-noto-cjk.",
        ),
    }
)
#: What is wrong where the number is one.
ONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "certificate_ends": "The certificate of {about} is valid for one more day.",
        "backlog": "One analysis waits or runs.",
        "analyses_failed": "One analysis was given up within a day.",
        "images_set_aside": "One image came with other content under an identifier that is taken.",
        "peer_refuses": "The peer {about} has refused one object for good.",
        "callers_rejected": "One caller was turned away within a day.",
        "notices_unsent": "One notification could not be sent.",
        "reviews_waiting": "One result waits for a review, for {age}.",
        "values_drift": "Values drift: this month or last, one median of {about} left its control limits.",
    }
)
