"""Every trouble in three German sentences: what is wrong, why it matters, and what to do."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GERMAN: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "database_down": (
            "Die Datenbank antwortet nicht.",
            "Sender erhalten 0xA700, nichts wird ausgewertet; nichts mit SUCCESS Beantwortetes ist verloren.",
            "Datenbank starten und ihre Adresse prüfen; alles läuft dann von selbst weiter.",
        ),
        "spool_broken": (
            "Empfangene Bilder können nicht aufbewahrt werden: {reason}",
            "Jedes Bild wird mit 0xA700 abgelehnt.",
            "Den Ordner spool unter HOME prüfen: vorhanden, beschreibbar, im Besitz des Dienstes?",
        ),
        "broker_broken": (
            "Die Warteschlange antwortet nicht: {reason}",
            "Bis dahin wird nichts ausgewertet oder gesendet; nichts ist verloren.",
            "Redis starten und BROKER_URL prüfen; alles läuft dann von selbst weiter.",
        ),
        "model_broken": (
            "Das Netz ist nicht verwendbar: {reason}",
            "Nichts wird ausgewertet.",
            "Die in card.toml genannte Datei zurücklegen; `myoscreen model verify` sagt, welche.",
        ),
        "activation_broken": (
            "Eine Datei ist nicht die aktivierte: {reason}",
            "Auswertungen warten so lange; nichts geht verloren.",
            "Die Datei zurücklegen oder die neue aktivieren: Seite Aktivierungen, `myoscreen activation`.",
        ),
        "door_gone": (
            "Seit einer Minute gibt kein Prozess „{about}“ ein Lebenszeichen.",
            "Ohne receiver kommt kein Bild herein, ohne worker warten die Bilder.",
            "Prüfen, ob Prozess oder Container läuft, neu starten und das Ende seines Protokolls lesen.",
        ),
        "other_version": (
            "Ein Prozess „{about}“ der Version {version} läuft neben diesem Programm.",
            "Zwei Versionen auf einer Datenbank können sich widersprechen.",
            "Diesen Prozess neu starten, damit alle dieselbe Version haben.",
        ),
        "disk_full": (
            "Der Datenträger ist voll: {free_mb} MB sind unter HOME frei.",
            "Bilder werden mit 0xA700 abgelehnt; der Sender muss sie erneut senden.",
            "Platz schaffen oder alte Bilder gehen lassen (MYOSCREEN_KEEP_PIXELS_DAYS).",
        ),
        "disk_low": (
            "Der Datenträger ist fast voll: {free_mb} MB sind unter HOME frei.",
            "Unter MYOSCREEN_SPOOL_MIN_FREE_MB werden Bilder abgelehnt.",
            "Platz schaffen oder alte Bilder gehen lassen (MYOSCREEN_KEEP_PIXELS_DAYS).",
        ),
        "certificate_wrong": (
            "Das Zertifikat für {about} würde abgelehnt: {reason}",
            "Niemand kann über TLS mit uns sprechen.",
            "Zertifikat, Schlüssel und Zertifizierungsstelle richtigstellen; ein Neustart ist nicht nötig.",
        ),
        "certificate_ended": (
            "Das Zertifikat für {about} ist abgelaufen.",
            "Niemand kann über TLS mit uns sprechen.",
            "Ein neues Zertifikat an seine Stelle legen; ein Neustart ist nicht nötig.",
        ),
        "certificate_ends": (
            "Das Zertifikat für {about} ist noch {days} Tage gültig.",
            "Danach kann niemand über TLS mit uns sprechen.",
            "Erneuern lassen und an seine Stelle legen; ein Neustart ist nicht nötig.",
        ),
        "backlog": (
            "{count} Auswertungen warten oder laufen.",
            "Ergebnisse kommen spät.",
            "Einen worker hinzufügen oder prüfen, ob einer hängt (Statusseite).",
        ),
        "waits_too_long": (
            "Eine Auswertung wartet seit {age}.",
            "Ergebnisse kommen spät.",
            "Prüfen, ob ein worker lebt, und sein Protokoll lesen.",
        ),
        "runs_too_long": (
            "Eine Auswertung läuft seit {age}.",
            "Ein worker hängt vielleicht oder arbeitet auf einem defekten Datenträger.",
            "Das Protokoll des worker lesen; nach einem Neustart beginnt die Auswertung von vorn.",
        ),
        "delivers_too_late": (
            "Ein Objekt wartet seit {age} darauf, dass ein Partner es speichert.",
            "Das PACS hat das Ergebnis nicht.",
            "Die Statusseite sagt für jeden Partner, was wartet und warum.",
        ),
        "analyses_failed": (
            "{count} Auswertungen wurden innerhalb eines Tages aufgegeben.",
            "Diese Bilder haben kein Ergebnis.",
            "Die Liste mit dem Filter „fehlgeschlagen“ nennt die Gründe; nach der Behebung erneut starten.",
        ),
        "images_set_aside": (
            "{count} Bilder kamen mit anderem Inhalt unter einer schon vergebenen Kennung.",
            "Die ersten bleiben; ein Ergebnis kann von einem überholten Bild stammen.",
            "Die betroffenen Auswertungen ansehen und beim Sender klären, welches Bild stimmt.",
        ),
        "nothing_received": (
            "Es ist noch kein Bild gekommen.",
            "Eine neue Installation, oder ein Weg, der nicht hierher führt.",
            "Eines vom PACS senden oder `myoscreen selftest` versuchen.",
        ),
        "no_images": (
            "Seit {age} ist kein Bild gekommen.",
            "Eine Weiterleitungsregel ist vielleicht defekt, und niemand vermisst die Ergebnisse.",
            "Die Regel im PACS und die abgewiesenen Anrufer (Statusseite) ansehen.",
        ),
        "no_results": (
            "Seit {age} kommen Bilder, und keine Auswertung wurde seither fertig.",
            "Es entstehen keine Ergebnisse mehr.",
            "Das Protokoll des worker lesen und prüfen, ob Serien abgeschlossen werden (Statusseite).",
        ),
        "peer_away": (
            "Der Partner {about} ist seit {age} nicht erreichbar.",
            "Ihre Ergebnisse warten; nichts ist verloren.",
            "`myoscreen echo {about}`: läuft sie, stimmen Rechner, Port und AE-Titel, sperrt eine Firewall?",
        ),
        "peer_refuses": (
            "Der Partner {about} hat {count} Objekte endgültig abgelehnt.",
            "Er hat diese Ergebnisse nicht.",
            "Die Statusseite nennt den DIMSE-Status. Ursache dort beheben, dann erneut senden.",
        ),
        "callers_rejected": (
            "{count} Anrufer wurden innerhalb eines Tages abgewiesen.",
            "Ein Gerät mit falschem AE-Titel sendet nichts und sagt es vielleicht nicht.",
            "Die Statusseite führt sie auf, jeweils mit dem, was sie einließe.",
        ),
        "clock_differs": (
            "Es wurden Zeiten geschrieben, die {age} vor dieser Uhr liegen.",
            "Wartezeiten und Audit-Protokoll werden falsch.",
            "Alle Rechner die Zeit von einem Server beziehen lassen (NTP).",
        ),
        "audit_not_sealed": (
            "Zeilen des Audit-Protokolls warten seit {age} auf ihre Versiegelung.",
            "Bis dahin könnte eine Zeile unbemerkt geändert werden.",
            "Ein worker versiegelt sie: lebt einer? In seinem Protokoll nach audit_not_sealed suchen.",
        ),
        "audit_not_reported": (
            "Zeilen des Audit-Protokolls warten seit {age} auf den Sammler der Audit-Meldungen.",
            "Nichts geht verloren, aber der Sammler sieht nicht, was hier geschieht.",
            "Hört der Sammler von [audit.syslog]? Im worker-Protokoll nach audit_not_forwarded suchen.",
        ),
        "self_test_failed": (
            "Der letzte Selbsttest ist gescheitert: {reason}.",
            "Bildern von Patienten kann es ebenso ergehen.",
            "`myoscreen selftest` wiederholt ihn und nennt jeden Schritt.",
        ),
        "notices_unsent": (
            "{count} Benachrichtigungen konnten nicht gesendet werden.",
            "Niemand erfährt von Störungen.",
            "`myoscreen notify test` versucht den Weg; das Protokoll sagt, woran es lag.",
        ),
        "home_unusable": (
            "HOME ist nicht beschreibbar: {reason}",
            "Nichts kann aufbewahrt werden.",
            "Den Ordner dem Konto des Dienstes geben, auf einem beschreibbaren Datenträger.",
        ),
        "home_open": (
            "{about} ist für alle auf diesem Rechner lesbar.",
            "Darin liegen Bilder und Namen von Patienten.",
            "chmod 0700 {about}",
        ),
        "secret_open": (
            "{about} ist für alle auf diesem Rechner lesbar.",
            "Darin steht ein Geheimnis.",
            "chmod 0600 {about}",
        ),
        "database_unusable": (
            "Die Datenbank ist nicht verwendbar: {reason}",
            "Kein Prozess startet.",
            "Nach einem Upgrade `myoscreen db upgrade`; sonst DATABASE_URL und den Server prüfen.",
        ),
        "rules_unusable": (
            "Die Regeln sind nicht verwendbar: {reason}",
            "Der worker startet nicht.",
            "`myoscreen rules check FILE` nennt die Zeile.",
        ),
        "optout_unusable": (
            "Die Widerspruchsliste ist nicht verwendbar: {reason}",
            "Nichts wird ausgewertet, weil niemand sagen kann, wer darauf steht.",
            "Den Schlüssel der Liste aus der Sicherung zurücklegen.",
        ),
        "peer_silent": (
            "Der Partner {about} antwortet nicht auf C-ECHO: {reason}",
            "Er bekommt keine Ergebnisse.",
            "Läuft sie, stimmen Rechner, Port und AE-Titel auf beiden Seiten, sperrt eine Firewall?",
        ),
        "not_started": (
            "Kein Teil des Dienstes läuft.",
            "Kein Bild kommt herein, nichts wird ausgewertet.",
            "`myoscreen serve`, oder die Container starten.",
        ),
        "port_taken": (
            "Port {about} ist von einem anderen Programm belegt.",
            "Der Prozess kann nicht öffnen.",
            "Einen anderen Port einstellen oder jenes Programm beenden (`ss -ltnp`).",
        ),
        "reviews_waiting": (
            "{count} Ergebnisse warten auf Durchsicht, das älteste seit {age}.",
            "Partner mit release = after_review bekommen davon nichts; ihre Studien werden nicht gelöscht.",
            "Auf der Seite Durchsicht jedes annehmen oder ablehnen.",
        ),
        "values_drift": (
            "Messwerte wandern: zuletzt {count} Mediane von {about} jenseits der Grenzen.",
            "Gerät, Protokoll oder Software messen vielleicht anders, und damit auch die Vergleiche.",
            "Auf der Seite Population ansehen und klären. Anerkannt wird es mit MYOSCREEN_DRIFT_SINCE.",
        ),
        "port_silent": (
            "Der Prozess „{about}“ lebt, aber sein Port nimmt keine Verbindung an.",
            "Niemand kann ihn erreichen.",
            "Neu starten und die Adresse prüfen, an die er gebunden ist.",
        ),
        "fonts_missing": (
            "Es ist keine Schrift mit chinesischen, japanischen und koreanischen Zeichen installiert.",
            "Solche Zeichen in Namen werden in Bild und PDF als Kästchen gezeichnet.",
            "Wo solche Namen vorkommen: pip install 'myoscreen[cjk]' oder fonts-noto-cjk von Debian.",
        ),
    }
)
#: What is wrong where the number is one.
ONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "certificate_ends": "Das Zertifikat für {about} ist noch einen Tag gültig.",
        "backlog": "Eine Auswertung wartet oder läuft.",
        "analyses_failed": "Eine Auswertung wurde innerhalb eines Tages aufgegeben.",
        "images_set_aside": "Ein Bild kam mit anderem Inhalt unter einer schon vergebenen Kennung.",
        "peer_refuses": "Der Partner {about} hat ein Objekt endgültig abgelehnt.",
        "callers_rejected": "Ein Anrufer wurde innerhalb eines Tages abgewiesen.",
        "notices_unsent": "Eine Benachrichtigung konnte nicht gesendet werden.",
        "reviews_waiting": "Ein Ergebnis wartet seit {age} auf Durchsicht.",
        "values_drift": "Messwerte wandern: zuletzt ein Median von {about} jenseits der Grenzen.",
    }
)
