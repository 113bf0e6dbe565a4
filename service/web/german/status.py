"""German for the status page and for codes of the status page."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    "ready for work": "arbeitsbereit",
    "Edited segmentations that came again alike": "Bearbeitete Segmentierungen, die gleich wiederkamen",
    "Edited segmentations of images that are not here": (
        "Bearbeitete Segmentierungen zu Bildern, die nicht hier liegen"
    ),
    "Edited segmentations of another patient or study, refused": (
        "Bearbeitete Segmentierungen mit anderer Person oder Studie, abgewiesen"
    ),
    "Edited segmentations that came again otherwise, refused": (
        "Bearbeitete Segmentierungen, die anders wiederkamen, abgewiesen"
    ),
    "ready, with a critical fault": "bereit, mit kritischer Störung",
    "not ready": "nicht bereit",
    "Waiting or running": "Wartend oder laufend",
    "Oldest waiting": "Älteste wartende",
    "Oldest undelivered": "Älteste nicht zugestellte",
    "Last image": "Letztes Bild",
    "Last success": "Letzter Erfolg",
    "Last failure": "Letzter Fehlschlag",
    "Last self-test": "Letzter Selbsttest",
    "none||a failure": "keiner",
    "none||a self-test": "keiner",
    "none||a reference table": "keine",
    "{age} ago": "vor {age}",
    "Disk free": "Platte frei",
    "of {bytes}": "von {bytes}",
    "images are refused until {bytes} are free": "Bilder werden abgewiesen, bis {bytes} frei sind",
    "below the {bytes} at which images are refused": "unter den {bytes}, ab denen Bilder abgewiesen werden",
    "What is wrong": "Was nicht stimmt",
    "What": "Was",
    "How bad": "Wie ernst",
    "Why it matters": "Warum es wichtig ist",
    "What to do": "Was zu tun ist",
    "Checks": "Prüfungen",
    "in order": "in Ordnung",
    "not in order": "nicht in Ordnung",
    "Doors": "Prozesse",
    "Door": "Prozess",
    "Where": "Wo",
    "Last seen": "Zuletzt gesehen",
    "TLS {version} and newer, certificate valid until {day}": (
        "TLS {version} und neuer, Zertifikat gültig bis {day}"
    ),
    "alive": "läuft",
    "silent": "stumm",
    "No door has reported. Start the service with `myoscreen serve`.": (
        "Kein Prozess hat sich gemeldet. `myoscreen serve` startet den Dienst."
    ),
    "Peers": "Partner",
    "Name": "Name",
    "AE title": "AE Title",
    "May send": "Darf senden",
    "Gets": "Bekommt",
    "Last stored": "Zuletzt gespeichert",
    "Last confirmed": "Zuletzt bestätigt",
    "yes": "ja",
    "no": "nein",
    "since {time}": "seit {time}",
    "no reason known": "Grund nicht bekannt",
    "{count} tries in a row": "{count} Versuche in Folge",
    "next try {time}": "nächster Versuch {time}",
    "not asked for": "nicht verlangt",
    "Try now": "Jetzt versuchen",
    "Try {peer} now": "{peer} jetzt versuchen",
    "Offer again": "Erneut anbieten",
    "Offer {peer} again what it refused": "{peer} erneut anbieten, was er ablehnte",
    "Send given up again": "Aufgegebenes erneut senden",
    "Send everything to {peer} again that was given up": "Alles Aufgegebene erneut an {peer} senden",
    "C-ECHO": "C-ECHO",
    "C-ECHO {peer}": "C-ECHO {peer}",
    "No peer is set: this machine may send, nothing is delivered. Add a `[[peer]]` table to "
    "`myoscreen.toml`.": (
        "Kein Partner ist eingestellt: Nur dieser Rechner darf senden, nichts wird zugestellt. Eine Tabelle "
        "`[[peer]]` in `myoscreen.toml` ändert das."
    ),
    "Callers that were not let in": "Abgewiesene Anrufer",
    "To let one in, put its block into `myoscreen.toml` and start the service again. Make sure first that "
    "you "
    "know who it is. A caller without a title broke off, or was turned away, before it could say one.": (
        "Um einen einzulassen, dessen Block in `myoscreen.toml` eintragen und den Dienst neu starten. Vorher "
        "sicherstellen, wer es ist. Ein Anrufer ohne AE Title brach ab oder wurde abgewiesen, bevor er ihn "
        "nennen "
        "konnte."
    ),
    "Rejected callers": "Abgewiesene Anrufer",
    "Caller": "Anrufer",
    "Asked for": "Verlangte",
    "Why refused": "Warum abgewiesen",
    "Times": "Wie oft",
    "Last": "Zuletzt",
    "To let it in": "Um ihn einzulassen",
    "no title": "ohne AE Title",
    "[[peer]] block": "[[peer]]-Block",
    "Nobody was refused.": "Niemand wurde abgewiesen.",
    "Network and rules": "Netz und Regelwerk",
    "Network": "Netz",
    "Definition": "Definition",
    "Norms": "Referenztabellen",
    "Policy": "Regelwerk",
    "Version": "Version",
    "Counts": "Zahlen",
    "Analyses: {state}": "Auswertungen: {state}",
    "Series: {state}": "Serien: {state}",
    "For monitoring: `/healthz`, `/readyz`, `/metrics`, and with a key `/api/v1/status`.": (
        "Für das Monitoring: `/healthz`, `/readyz`, `/metrics` und mit Schlüssel `/api/v1/status`."
    ),
    # codes.py
    "database": "Datenbank",
    "queue": "Warteschlange",
    "folder of images": "Bilderordner",
    "network": "Netz",
    "receiver": "Empfänger",
    "worker": "Worker",
    "web": "Web",
    "note": "Hinweis",
    "warning": "Warnung",
    "critical": "kritisch",
    "called another AE title": "rief einen anderen AE Title",
    "calling AE title unknown": "AE Title unbekannt",
    "address unknown": "Adresse unbekannt",
    "may not send": "darf nicht senden",
    "came without TLS": "kam ohne TLS",
    "subject of the certificate unknown": "Subject des Zertifikats unbekannt",
    "spoke no TLS": "sprach kein TLS",
    "showed no certificate": "zeigte kein Zertifikat",
    "certificate of an unknown authority": "Zertifikat einer unbekannten Stelle",
    "certificate not valid now": "Zertifikat zurzeit nicht gültig",
    "certificate revoked": "Zertifikat gesperrt",
    "certificate not made for this": "Zertifikat nicht für diesen Zweck",
    "list of revoked certificates too old": "Sperrliste zu alt",
    "no list of revoked certificates": "keine Sperrliste",
    "version of TLS too old": "TLS-Version zu alt",
    "no cipher suite in common": "keine gemeinsame Cipher Suite",
    "refused our certificate": "lehnte unser Zertifikat ab",
    "TLS handshake too slow": "TLS-Handshake zu langsam",
    "certificate or key cannot be used": "Zertifikat oder Schlüssel unbrauchbar",
    "TLS handshake broke off": "TLS-Handshake abgebrochen",
    # What lets a caller in.
    "The caller must call our AE title.": "Der Anrufer muss unseren AE Title rufen.",
    "The peer is listed with may_send = false.": "Der Partner steht mit may_send = false in der Liste.",
    "The peer is listed with tls = true: it must come by the TLS port, with its certificate.": (
        "Der Partner steht mit tls = true in der Liste: Er muss über den TLS-Port kommen, mit seinem "
        "Zertifikat."
    ),
    "The caller must speak TLS on this port.": "An diesem Port muss der Anrufer TLS sprechen.",
    "The caller must show a certificate.": "Der Anrufer muss ein Zertifikat zeigen.",
    "The certificate is of no authority in tls_ca.": "Das Zertifikat ist von keiner Stelle aus tls_ca.",
    "The certificate has expired, or is not valid yet; look at the clocks, too.": (
        "Das Zertifikat ist abgelaufen oder noch nicht gültig; auch nach den Uhren sehen."
    ),
    "The authority has taken the certificate back.": "Die Stelle hat das Zertifikat gesperrt.",
    "The certificate is not made for this use.": "Das Zertifikat ist nicht für diesen Zweck ausgestellt.",
    "The list of revoked certificates (tls_crl) is too old.": "Die Sperrliste (tls_crl) ist zu alt.",
    "The list of revoked certificates (tls_crl) is of another authority.": (
        "Die Sperrliste (tls_crl) ist von einer anderen Stelle."
    ),
    "The caller must speak TLS 1.2 or newer; see tls_min_version.": (
        "Der Anrufer muss TLS 1.2 oder neuer sprechen; siehe tls_min_version."
    ),
    "The caller must offer a cipher suite of BCP 195.": (
        "Der Anrufer muss eine Cipher Suite aus BCP 195 anbieten."
    ),
    "The caller refused our certificate: it may not trust its authority.": (
        "Der Anrufer lehnte unser Zertifikat ab: Womöglich vertraut er dessen Stelle nicht."
    ),
    "The handshake took too long.": "Der Handshake dauerte zu lange.",
    "The handshake broke off.": "Der Handshake brach ab.",
    # Counters.
    "Own results that came back": "Eigene Ergebnisse, die zurückkamen",
    "Unwanted objects, refused": "Unerwünschte Objekte, abgewiesen",
    "Unwanted objects, discarded": "Unerwünschte Objekte, verworfen",
    "Unreadable objects, refused": "Unlesbare Objekte, abgewiesen",
    "Objects too large, refused": "Zu große Objekte, abgewiesen",
    "Objects refused for want of disk": "Objekte, abgewiesen mangels Platz",
    "Objects refused by a fault here": "Objekte, abgewiesen wegen eines Fehlers hier",
    "Images that came again under another identity": "Bilder, die unter anderer Identität wiederkamen",
    "Images that came again alike": "Bilder, die gleich wiederkamen",
    "Work taken from a worker that gave no sign of life": (
        "Arbeit, die einem Worker ohne Lebenszeichen genommen wurde"
    ),
    "Images that came again otherwise": "Bilder, die anders wiederkamen",
    "Images that came again and could not be compared": (
        "Bilder, die wiederkamen und nicht vergleichbar waren"
    ),
}
