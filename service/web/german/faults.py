"""German for what is refused or goes wrong, by its stable code; the English sentence may hold values."""

from typing import Final

FAULTS: Final[dict[str, str]] = {
    "already_waiting": "Eine Version dieser Auswertung wartet oder läuft schon.",
    "already_withdrawn": "Dieses Ergebnis ist schon zurückgezogen.",
    "bad_name": "Ein Name hat höchstens 64 Buchstaben, Ziffern oder . _ - @ und ist keiner des Protokolls.",
    "bad_role": "Diese Rolle gibt es nicht, oder sie ist nur für Schlüssel.",
    "broker_unreachable": "Die Warteschlange antwortet nicht.",
    "comment_needed": "Dieser Schritt braucht eine kurze Begründung.",
    "csrf": "Dieses Formular ist veraltet; bitte die Seite neu laden.",
    "database_unreachable": "Die Datenbank antwortet nicht.",
    "finding_not_understood": (
        "Dieses Messergebnis stammt von einer Version, die diese nicht versteht. Bitte neu auswerten."
    ),
    "forbidden": "Ihre Rolle erlaubt das nicht.",
    "identity_incomplete": (
        "Nicht alle Bilder kamen unter der anderen Identität wieder. Bitte die Studie erneut senden lassen."
    ),
    "internal_error": "Hier ging etwas schief; Näheres steht im Log.",
    "invalid_parameter": "Eine Angabe fehlt oder ist ungültig.",
    "kept_unreadable": "Was von dieser Auswertung aufbewahrt wurde, ist nicht lesbar. Bitte neu auswerten.",
    "key_exists": "Einen Schlüssel dieses Namens gibt es schon.",
    "login_needed": "Bitte anmelden oder einen API-Schlüssel vorlegen.",
    "method_not_allowed": "Diese Methode ist hier nicht erlaubt.",
    "model_missing": "Der Ordner dieses Netzes, seine Karte oder seine Gewichte fehlen.",
    "network_gone": "Das Netz, das gemessen hat, liegt nicht mehr im Modellordner.",
    "no_local_login": "Hier meldet sich niemand mit Passwort an.",
    "other_images": "Nach dieser Version kamen weitere Bilder; sie wäre von anderen Bildern.",
    "no_finding": "Zu dieser Auswertung gibt es kein Messergebnis.",
    "no_hold": "Auf dieser Studie liegt keine Löschsperre.",
    "no_identity_change": "Diese Bilder kamen nicht unter einer anderen Identität wieder.",
    "no_password": "Diese Person meldet sich beim Anbieter an und hat hier kein Passwort.",
    "no_raised_flag": "Kein Hinweis dieses Ergebnisses ist gesetzt.",
    "no_reason": "Eine Löschsperre braucht einen Grund.",
    "no_such_key": "Einen Schlüssel dieses Namens gibt es nicht.",
    "no_such_user": "Niemand hat diesen Namen.",
    "not_found": "Das gibt es hier nicht.",
    "not_measured": "Es gibt keine aktuellen Messwerte zum Vergleichen.",
    "not_retryable": "Diese Zustellung lässt sich nicht erneut senden.",
    "not_reviewable": "Diese Auswertung ist in einem Stand, in dem es nichts durchzusehen gibt.",
    "not_withdrawable": "Diese Auswertung ist in einem Stand, in dem es nichts zurückzuziehen gibt.",
    "nothing_kept": (
        "Eine frühere Version bewahrte zu wenig auf, um dies ohne die Bilder neu zu vergleichen. Bitte neu "
        "auswerten."
    ),
    "opted_out": "Der Patient hat widersprochen.",
    "output_changed": "Die Datei ist nicht die, die erzeugt wurde. Bitte neu auswerten.",
    "output_missing": "Die Datei dieses Objekts ist nicht mehr vorhanden.",
    "password_change_needed": "Bitte zuerst das Einmalpasswort ändern.",
    "patient_id_missing": "Es fehlt eine Patienten-ID.",
    "peer_without_port": "Dieser Partner hat keinen Port, also gibt es nichts für C-ECHO.",
    "person_needed": "Das ändert nur eine Person, die angemeldet ist.",
    "pixels_purged": (
        "Die Bilder wurden nach Ablauf ihrer Frist gelöscht. Bitte die Serie erneut senden lassen."
    ),
    "results_purged": "Die Objekte wurden nach Ablauf ihrer Frist gelöscht.",
    "role_by_provider": "Dieser Person gibt der Anbieter die Rolle.",
    "rules_missing": "Diese Regeln gibt es nicht.",
    "bad_rules": "Die Regeldatei ist fehlerhaft.",
    "series_taken": "Unter der Serie der neuen Identität liegen hier andere Bilder.",
    "spool_missing": "Den Bilderordner gibt es noch nicht.",
    "superseded": "Ein anderes Ergebnis ist an die Stelle von diesem getreten.",
    "too_large": "Die Anfrage ist zu groß.",
    "too_long": "Der Text ist zu lang.",
    "unknown_flag_step": "Diesen Schritt gibt es nicht.",
    "user_exists": "Diesen Namen hat schon jemand.",
    "unknown_user": "Niemand dieses Namens kann das übernehmen.",
    "unknown_verdict": "Dieses Urteil gibt es nicht.",
    "unknown_withdrawal_reason": "Diesen Grund gibt es nicht.",
    "weak_password": "Dieses Passwort ist zu kurz, zu lang oder zu leicht zu erraten.",
    "withdrawn": "Dieses Ergebnis ist zurückgezogen. Bitte neu auswerten.",
    "proposer_unknown": (
        "Zwei Personen werden verlangt, und es ist nicht bekannt, welche vorschlägt. Bitte auf der Seite "
        "anmelden."
    ),
    "replay_waiting": "Eine Wiederholung dieser Auswertung wartet oder läuft schon.",
    "drawn_by_hand": "Ein Mensch hat das gezeichnet, darum zeichnet kein Netz es noch einmal.",
    "images_changed": "Ein Bild fehlt oder ist auf der Platte verändert, damit lässt sich nichts beweisen.",
    "activated_file_changed": "Eine Datei ist nicht mehr die, die aktiviert wurde.",
    "activated_file_missing": "Eine Datei, die aktiviert wurde, ist nicht mehr da.",
    "administrator_by_shell": (
        "Hier bestätigen zwei Personen der Verwaltung, was gilt. Darum macht oder übernimmt niemand auf "
        "dieser Seite ein Konto der Verwaltung; das geht mit myoscreen user auf der Maschine."
    ),
    "already_active": "Das gilt schon.",
    "already_proposed": (
        "Eine andere Änderung dieser Art wartet auf ihre Bestätigung. Bitte zuerst bestätigen oder ablehnen."
    ),
    "changed_meanwhile": "Jemand anderes hat inzwischen geändert, was gilt. Bitte noch einmal nachsehen.",
    "confirmer_unknown": "Es ist nicht bekannt, welche Person bestätigt. Bitte auf der Seite anmelden.",
    "network_not_usable": "Das Netz hat die Probe mit dem Phantom nicht bestanden.",
    "not_in_force": "Nur was gilt, kann zurückgenommen werden.",
    "not_proposed": "Darüber ist schon entschieden.",
    "nothing_before": "Davor galt nichts.",
    "own_account": (
        "Das eigene Konto sperrt oder ändert hier niemand; das eigene Passwort ändert die Seite Konto."
    ),
    "own_proposal": "Wer eine Änderung vorgeschlagen hat, bestätigt sie nicht.",
    "unknown_thing": "Unter diesem Namen gibt es nichts zu aktivieren.",
}
#: What is said of an object on its way to a peer.
DELIVERIES: Final[dict[str, str]] = {
    "association_rejected": "Der Partner hat die Association abgelehnt: AE Titles prüfen.",
    "ca_file_unreadable": "Die Datei der vertrauenswürdigen Zertifikate ist nicht lesbar.",
    "certificate_refused": "Dem Zertifikat des Servers wird nicht vertraut.",
    "context_refused": "Der Partner nimmt Objekte dieser Art nicht.",
    "credentials_unreadable": "Die Datei mit den Zugangsdaten ist nicht lesbar.",
    "http_refused": "Der Server hat die Anfrage für dieses Objekt abgelehnt.",
    "http_status": "Der Server antwortete mit einem Status, der nichts über das Objekt sagt.",
    "http_unclear": "Der Server hat nicht gesagt, was aus dem Objekt wurde.",
    "internal_fault": "Ein Fehler der Software; er steht im Log.",
    "no_answer": "Der Partner brach ab oder antwortete nicht.",
    "not_committed": "Der Partner steht nicht für das Objekt ein; es wird erneut gesendet.",
    "not_confirmed": "Der Partner sagte gespeichert, aber nicht, ob er das Objekt hat.",
    "not_found": "Der Partner wurde gefragt und hat das Objekt nicht; es wird erneut gesendet.",
    "not_tried": "Die Association endete vor diesem Objekt; es geht sofort erneut hinaus.",
    "peer_unreachable": "Der Partner ist nicht erreichbar.",
    "query_failed": "Der Partner hat auf C-FIND oder QIDO-RS nicht geantwortet.",
    "store_refused": "Der Partner hat das Objekt abgelehnt.",
    "unreadable": "Die Datei ist kein DICOM.",
}
