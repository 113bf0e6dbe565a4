"""German for the page of what is in force."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    "Activations": "Aktivierungen",
    "What is in force": "Was gilt",
    "what is in force": "was gilt",
    "Each analysis is done, and each result scored again, with what is in force when a worker takes it. "
    "Results that exist stay as they are.": (
        "Jede Auswertung und jeder neue Vergleich geschieht mit dem, was gilt, wenn ein Worker sie nimmt. "
        "Vorhandene Ergebnisse bleiben, wie sie sind."
    ),
    "A change holds only after another administrator confirmed it.": (
        "Eine Änderung gilt erst, wenn eine zweite Person der Verwaltung sie bestätigt hat."
    ),
    "A change holds at once.": "Eine Änderung gilt sofort.",
    "Kind": "Art",
    "Name": "Name",
    "Version": "Version",
    "In force since": "Gilt seit",
    "Asked for by": "Verlangt von",
    "Confirmed by": "Bestätigt von",
    "none||a table": "keine",
    "Analyses wait:": "Auswertungen warten:",
    "Not as activated:": "Nicht wie aktiviert:",
    "From the settings; no worker has recorded it yet.": (
        "Aus den Einstellungen; noch kein Worker hat es festgehalten."
    ),
    "Roll back {kind}": "Zurücknehmen: {kind}",
    "Roll back to {name}, version {version}": "Zurück zu {name}, Version {version}",
    "Waiting for a confirmation": "Wartet auf Bestätigung",
    "rolls back to line {line}": "zurück zu Zeile {line}",
    "Confirm line {line}": "Zeile {line} bestätigen",
    "Another administrator has to confirm what you proposed.": (
        "Was Sie vorgeschlagen haben, muss eine andere Person der Verwaltung bestätigen."
    ),
    "Refuse line {line}": "Zeile {line} ablehnen",
    "Propose a change": "Eine Änderung vorschlagen",
    "Activate": "Aktivieren",
    "Propose": "Vorschlagen",
    "Activate: {kind}": "Aktivieren: {kind}",
    "Propose: {kind}": "Vorschlagen: {kind}",
    "What lies in the models folder can be chosen. Before anything holds, its files are read; a network is "
    "compared with its card and shown the phantom, which takes some seconds.": (
        "Zur Wahl steht, was im Modellordner liegt. Bevor etwas gilt, werden seine Dateien gelesen; ein Netz "
        "wird mit seiner Karte verglichen und bekommt das Phantom gezeigt, was einige Sekunden dauert."
    ),
    "Reference tables, in their order, with commas between": (
        "Referenztabellen in ihrer Reihenfolge, durch Kommas getrennt"
    ),
    "There are: {names}": "Es gibt: {names}",
    "What was, and what was proposed": "Was galt, und was vorgeschlagen wurde",
    "Files and SHA-256 of line {line}": "Dateien und SHA-256 der Zeile {line}",
    "Decided by": "Entschieden von",
    "From||a time": "Von",
    "Until||a time": "Bis",
    "Nothing was recorded yet: a worker does so when it starts.": (
        "Noch ist nichts festgehalten: Das tut ein Worker, wenn er startet."
    ),
    "It is in force from now on.": "Es gilt ab jetzt.",
    "It is proposed. Another administrator has to confirm it.": (
        "Es ist vorgeschlagen. Eine andere Person der Verwaltung muss es bestätigen."
    ),
    "The proposal is refused.": "Der Vorschlag ist abgelehnt.",
    "Network": "Netz",
    "Reference tables": "Referenztabellen",
    "proposed": "vorgeschlagen",
    "in force": "gilt",
    "replaced": "abgelöst",
    "refused": "abgelehnt",
    "rolled back": "zurückgenommen",
    "the settings": "die Einstellungen",
    "the command line": "die Befehlszeile",
    "The first, from the settings.": "Das Erste, aus den Einstellungen.",
    "The setting was changed.": "Die Einstellung wurde geändert.",
    "The file that the setting names was changed.": ("Die Datei, die die Einstellung nennt, wurde geändert."),
}
