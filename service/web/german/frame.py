"""German for what stands on every page, for login, account, notices and errors."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    "Skip to the content": "Zum Inhalt springen",
    "Research use only. Not for diagnosis.": "Nur für die Forschung. Nicht zur Diagnose.",
    "Pages": "Seiten",
    "Analyses": "Auswertungen",
    "Flags": "Hinweise",
    "Reviews": "Durchsicht",
    "Funnel": "Trichter",
    "Rules": "Regeln",
    "Status": "Status",
    "Audit": "Protokoll",
    "Log out": "Abmelden",
    "All times are UTC.": "Alle Zeiten in UTC.",
    "Language": "Sprache",
    "Copy": "Kopieren",
    "Copied": "Kopiert",
    "your time": "Ihre Ortszeit",
    # Errors.
    "Code": "Code",
    "Change the password": "Passwort ändern",
    "To the first page": "Zur Startseite",
    "Bad Request": "Ungültige Anfrage",
    "Unauthorized": "Nicht angemeldet",
    "Forbidden": "Nicht erlaubt",
    "Not Found": "Nicht gefunden",
    "Method Not Allowed": "Methode nicht erlaubt",
    "Conflict": "Nicht möglich",
    "Gone": "Nicht mehr vorhanden",
    "Request Entity Too Large": "Anfrage zu groß",
    "Unprocessable Entity": "Ungültige Angaben",
    "Too Many Requests": "Zu viele Anfragen",
    "Internal Server Error": "Fehler im Dienst",
    "Bad Gateway": "Ein anderes System antwortet nicht",
    "Service Unavailable": "Dienst nicht verfügbar",
    "Insufficient Storage": "Kein Speicherplatz",
    # Notices.
    "A review needs a verdict.": "Eine Durchsicht braucht ein Urteil.",
    "The drawing is accepted. What was held for this goes out.": (
        "Die Zeichnung ist angenommen. Was darauf wartete, wird gesendet."
    ),
    "The drawing is accepted with small faults. What was held for this goes out.": (
        "Die Zeichnung ist mit kleinen Fehlern angenommen. Was darauf wartete, wird gesendet."
    ),
    "The drawing is rejected, and the result is withdrawn.": (
        "Die Zeichnung ist abgelehnt, das Ergebnis zurückgezogen."
    ),
    "Say what is to be done about the flags.": "Bitte angeben, was mit den Hinweisen geschehen soll.",
    "Say who takes it over.": "Bitte angeben, wer übernimmt.",
    "This needs a few words that say why.": "Bitte kurz begründen.",
    "Written down.": "Eingetragen.",
    "The rerun is in the queue, as the next version.": (
        "Die neue Auswertung steht in der Warteschlange, als nächste Version."
    ),
    "New scores of the stored measures are in the queue, as the next version.": (
        "Neue Vergleichswerte aus den gespeicherten Messwerten stehen in der Warteschlange, als nächste "
        "Version."
    ),
    "The object is sent again.": "Das Objekt wird erneut gesendet.",
    "The patient is on the list.": "Der Patient steht auf der Liste.",
    "The patient was on the list already.": "Der Patient stand schon auf der Liste.",
    "The line is off the list. What was declined meanwhile can be run again.": (
        "Die Zeile ist gestrichen. Was inzwischen abgelehnt wurde, kann neu gestartet werden."
    ),
    "An opt-out needs a patient ID.": "Ein Widerspruch braucht eine Patienten-ID.",
    "The result is withdrawn. Whoever was sent it is told by a report and a rejection note.": (
        "Das Ergebnis ist zurückgezogen. Wer es bekam, erfährt das durch einen Bericht und eine Rejection "
        "Note."
    ),
    "A withdrawal needs a reason.": "Zum Zurückziehen wird ein Grund gebraucht.",
    "The images count under their new identity now, and are analysed anew.": (
        "Die Bilder gelten nun unter ihrer neuen Identität und werden neu ausgewertet."
    ),
    "Everything of this study is kept until the hold is released.": (
        "Alles aus dieser Studie bleibt, bis die Sperre aufgehoben wird."
    ),
    "The study goes after its time again.": "Die Studie wird wieder nach Ablauf ihrer Frist gelöscht.",
    "A hold needs a reason.": "Eine Löschsperre braucht einen Grund.",
    "The password is changed. Other logins of yours have ended.": (
        "Das Passwort ist geändert. Ihre übrigen Anmeldungen sind beendet."
    ),
    "Nothing here has exactly that UID, accession number or patient ID.": (
        "Hier gibt es nichts mit genau dieser UID, Accession Number oder Patienten-ID."
    ),
    "Everything that waited for the peer goes now.": "Alles, was auf den Partner wartete, geht jetzt hinaus.",
    "Everything that was given up for the peer is sent again.": (
        "Alles, was für den Partner aufgegeben war, wird erneut gesendet."
    ),
    "The peer answered C-ECHO.": "Der Partner hat auf C-ECHO geantwortet.",
    "The peer did not answer C-ECHO.": "Der Partner hat auf C-ECHO nicht geantwortet.",
}
