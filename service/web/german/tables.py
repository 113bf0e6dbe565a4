"""German for the tables, filters and forms of lists, and for the words of words.py."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    # In several tables.
    "Action": "Aktion",
    "Actions": "Aktionen",
    "Actor": "Wer",
    "Address": "Adresse",
    "All": "Alle",
    "Analysis": "Auswertung",
    "Attribute": "Attribut",
    "By": "Von",
    "Comment, without names": "Bemerkung, ohne Namen",
    "Contrast": "Kontrast",
    "Deliveries": "Zustellungen",
    "Detail": "Einzelheiten",
    "Filter": "Filter",
    "Filter||do": "Filtern",
    "From||a day": "Von",
    "To||a day": "Bis",
    "Line": "Zeile",
    "Newest": "Neueste",
    "No.": "Nr.",
    "Nothing fits this filter.": "Zu diesem Filter passt nichts.",
    "Number": "Anzahl",
    "Object": "Objekt",
    "Older": "Ältere",
    "Outcome": "Ergebnis",
    "Plane": "Ebene",
    "Reason": "Grund",
    "Received": "Empfangen",
    "Region": "Region",
    "Rule": "Regel",
    "Series": "Serie",
    "SHA-256": "SHA-256",
    "Show all": "Alle zeigen",
    "Since": "Seit",
    "Slices": "Schichten",
    "Stacks": "Bildstapel",
    "State": "Stand",
    "Study": "Studie",
    "When": "Wenn",
    "Why": "Warum",
    "Write down": "Eintragen",
    "all": "alle",
    "by {name}": "von {name}",
    "to {name}": "an {name}",
    "version {number}": "Version {number}",
    "{low} to {high}": "{low} bis {high}",
    "demonstration": "Vorführung",
    "provisional": "vorläufig",
    "of this site": "dieses Hauses",
    # The list.
    "How far what was received has come": "Wie weit das Empfangene gekommen ist",
    "Complete": "Vollständig",
    "Eligible": "Geeignet",
    "Measured": "Gemessen",
    "Flag raised": "Hinweis gesetzt",
    "Delivered": "Zugestellt",
    "Confirmed": "Bestätigt",
    "Of the last 30 days": "Der letzten 30 Tage",
    "Why not all": "Warum nicht alles",
    "all current": "alle aktuellen",
    "Flag": "Hinweis",
    "any or none": "mit und ohne",
    "any raised": "mindestens einer gesetzt",
    "measured, none raised": "gemessen, keiner gesetzt",
    "Look up a study": "Studie suchen",
    "Study or series UID, accession number or patient ID": (
        "Studien- oder Serien-UID, Accession Number oder Patienten-ID"
    ),
    "Look up": "Suchen",
    "Showing the study that was looked up.": "Gezeigt wird die gesuchte Studie.",
    "Showing the {count} studies that were looked up.": "Gezeigt werden die {count} gesuchten Studien.",
    "IMAT share": "IMAT-Anteil",
    "LMM, ml": "LMM, ml",
    "none raised": "keiner gesetzt",
    "A flag says that a measure lies outside its reference range. No flag raised does not mean no risk. "
    "Names "
    "are shown on the page of an analysis only.": (
        "Ein Hinweis sagt, dass ein Messwert außerhalb seines Referenzbereichs liegt. Kein Hinweis heißt "
        "nicht: "
        "kein Risiko. Namen stehen nur auf der Seite einer Auswertung."
    ),
    "No analysis fits this filter.": "Zu diesem Filter passt keine Auswertung.",
    "Nothing has been received yet. Send a series by C-STORE; it appears here when it is complete.": (
        "Noch ist nichts angekommen. Eine per C-STORE gesendete Serie erscheint hier, sobald sie "
        "vollständig ist."
    ),
    # The worklist.
    "Worklist": "Arbeitsliste",
    "Raised flags": "Gesetzte Hinweise",
    "A raised flag says that a measure of a research network lies beyond a limit of a reference table. It is "
    "no alarm and no diagnosis; the order of this list means nothing but the order of the results.": (
        "Ein gesetzter Hinweis sagt, dass ein Messwert eines Forschungsnetzes jenseits einer Grenze einer "
        "Referenztabelle liegt. Er ist weder Alarm noch Diagnose; die Reihenfolge dieser Liste ist nur die "
        "der "
        "Ergebnisse."
    ),
    "What is shown": "Was gezeigt wird",
    "Not finished": "Offen",
    "Handed over to me": "An mich übergeben",
    "Acknowledged": "Zur Kenntnis genommen",
    "Dismissed": "Verworfen",
    "Finished||an analysis": "Fertig",
    "Raised": "Gesetzt",
    "Stands": "Bearbeitung",
    "Last step": "Letzter Schritt",
    "Nothing here.": "Hier ist nichts.",
    "What was done about the flags": "Was mit den Hinweisen geschah",
    "Look after the raised flags": "Gesetzte Hinweise bearbeiten",
    "acknowledge": "zur Kenntnis nehmen",
    "dismiss, with a reason": "verwerfen, mit Begründung",
    "hand over": "übergeben",
    "comment": "Bemerkung",
    "open again": "wieder öffnen",
    "Hand over to": "Übergeben an",
    # Rules, choice and opt-outs.
    "The intended use of the network decides which images can be measured at all. Of those, these rules "
    "choose; the first rule whose conditions all hold decides.": (
        "Der vorgesehene Einsatz des Netzes bestimmt, welche Bilder sich überhaupt messen lassen. Unter "
        "diesen "
        "wählen die Regeln hier; es entscheidet die erste, deren Bedingungen alle zutreffen."
    ),
    "Before that the {list} is asked.": "Davor wird die {list} befragt.",
    "opt-out list": "Widerspruchsliste",
    "Measures||rules": "Gemessen wird",
    "every stack that a rule takes": "jeder Bildstapel, den eine Regel nimmt",
    "of each study one stack: that of the earliest rule, and of one rule that which it prefers": (
        "aus jeder Studie ein Bildstapel: der der frühesten Regel, und bei gleicher Regel der, den sie "
        "vorzieht"
    ),
    "In their order": "In ihrer Reihenfolge",
    "left out": "ausgelassen",
    "always": "immer",
    "Prefers": "Zieht vor",
    "What no rule takes is not measured; its analysis says so and why. Try a file of rules with `myoscreen "
    "rules test`. Other rules are put into force on the page of activations.": (
        "Was keine Regel nimmt, wird nicht gemessen; seine Auswertung sagt das und warum. Eine Regeldatei "
        "lässt "
        "sich mit `myoscreen rules test` erproben. Andere Regeln werden auf der Seite Aktivierungen "
        "aktiviert."
    ),
    "The rules cannot be read:": "Die Regeln sind nicht lesbar:",
    "Choice": "Auswahl",
    "What was chosen of this study": "Was aus dieser Studie gewählt wurde",
    "One line for each stack, or set of stacks that go together.": (
        "Eine Zeile für jeden Bildstapel, oder für Stapel, die zusammengehören."
    ),
    "The rules in words": "Die Regeln in Worten",
    "stack {number}": "Stapel {number}",
    "The rules have not decided yet: other series of the study are still arriving.": (
        "Die Regeln haben noch nicht entschieden: Andere Serien der Studie kommen noch an."
    ),
    "The rules were not asked.": "Die Regeln wurden nicht befragt.",
    "Rules before it": "Regeln davor",
    "Opt-outs": "Widersprüche",
    "Opt-out list": "Widerspruchsliste",
    "Images of these patients are not analysed, nothing more is sent of them, and they are left out of fits "
    "and tables. Results that exist stay until somebody withdraws them. The list keeps no patient ID, only a "
    "keyed hash: nobody can read from it who is on it.": (
        "Bilder dieser Patienten werden nicht ausgewertet, nichts von ihnen wird mehr gesendet, und in "
        "Anpassungen "
        "und Tabellen fehlen sie. Vorhandene Ergebnisse bleiben, bis jemand sie zurückzieht. Die Liste "
        "enthält "
        "keine Patienten-ID, nur einen Hashwert mit Schlüssel: Niemand kann aus ihr lesen, wer darauf steht."
    ),
    "Put a patient on the list": "Patienten in die Liste aufnehmen",
    "Patient ID": "Patienten-ID",
    "Issuer, if it is to hold for one only": "Aussteller der ID, wenn es nur für einen gelten soll",
    "Reason, without names": "Grund, ohne Namen",
    "Put on the list": "Aufnehmen",
    "Holds for": "Gilt für",
    "IDs of one issuer": "IDs eines Ausstellers",
    "IDs of any issuer": "IDs aller Aussteller",
    "Take off": "Streichen",
    "Take line {line} off the list": "Zeile {line} streichen",
    "Nobody is on the list.": "Niemand steht auf der Liste.",
    # The audit record.
    "Audit record": "Audit-Protokoll",
}
