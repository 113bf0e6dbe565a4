"""German for the page of an analysis, and for two versions side by side."""

from typing import Final

_PAGE: Final[dict[str, str]] = {
    "R · cross-sectional area (cm²) · L": "R · Querschnittsfläche (cm²) · L",
    "Height from the caudal end (mm)": "Höhe vom kaudalen Ende (mm)",
    "Point: this examination; the error of measurement is not known.": (
        "Punkt: diese Untersuchung; der Messfehler ist nicht bekannt."
    ),
    "Point: this examination, with its 95 % interval.": "Punkt: diese Untersuchung mit ihrem 95-%-Intervall.",
    "A flag says that a measure lies outside its reference range; it is no diagnosis. No flag raised "
    "does not mean no risk.": (
        "Ein Hinweis sagt, dass ein Messwert außerhalb seines Referenzbereichs liegt; er ist keine Diagnose. "
        "Kein Hinweis heißt nicht: kein Risiko."
    ),
    "A replay is ordered by {name}, {at}. Its outcome appears here.": (
        "Eine Nachrechnung ist bestellt von {name}, {at}. Ihr Ergebnis erscheint hier."
    ),
    "Against the study {days} days earlier, measured alike. A difference above the smallest detectable "
    "change is more than the error of simulated repeats; nobody was scanned twice.": (
        "Gegen die Studie {days} Tage davor, gleich gemessen. Ein Unterschied über der kleinsten "
        "erkennbaren Änderung ist mehr als der Fehler nachgebildeter Wiederholungen; niemand wurde zweimal "
        "untersucht."
    ),
    "Age, sex, height": "Alter, Geschlecht, Größe",
    "All images must have come: have the study sent again.": (
        "Alle Bilder müssen gekommen sein: die Studie noch einmal senden lassen."
    ),
    "All recorded events ({count})": "Alle aufgezeichneten Ereignisse ({count})",
    "Analysis finished": "Auswertung fertig",
    "Analysis started": "Auswertung begonnen",
    "Analysis {number}": "Auswertung {number}",
    "Ask again": "Nachfragen",
    "Ask {peer} again about {kind}": "{peer} noch einmal nach {kind} fragen",
    "Asymmetry (left \N{MINUS SIGN} right) / (left + right):": (
        "Asymmetrie (links \N{MINUS SIGN} rechts) / (links + rechts):"
    ),
    "Block": "Block",
    "Boundary: {rule} Fat: {method}.": "Grenze: {rule} Fett: {method}.",
    "Came again": "Erneut empfangen",
    "Check": "Prüfung",
    "Compare": "Vergleichen",
    "Computed on": "Gerechnet auf",
    "Confirmed by {peer}": "Bestätigt von {peer}",
    "Counted": "Gezählt",
    "DIMSE status": "DIMSE-Status",
    "Description": "Beschreibung",
    "Difference": "Unterschied",
    "Earlier": "Früher",
    "Event": "Ereignis",
    "Events": "Ereignisse",
    "Finished": "Fertig",
    "First image received": "Erstes Bild empfangen",
    "Hold": "Löschsperre setzen",
    "IMAT share {value}": "IMAT-Anteil {value}",
    "Images": "Bilder",
    "Input: {role}": "Eingabe: {role}",
    "Inputs": "Eingaben",
    "Its numbers, drawings and documents must not be used.": (
        "Seine Zahlen, Zeichnungen und Dokumente dürfen nicht verwendet werden."
    ),
    "Keep this study; reason": "Diese Studie behalten; Grund",
    "Keeping": "Aufbewahrung",
    "Last error": "Letzter Fehler",
    "Last image received": "Letztes Bild empfangen",
    "Left is the patient's left.": "Links ist die linke Seite des Patienten.",
    "Left out because": "Ausgelassen, weil",
    "New scores by the norms and policy of now, from the stored measures; no image is looked at": (
        "Neue Vergleichswerte nach den jetzigen Referenztabellen und Regeln, aus den gespeicherten "
        "Messwerten; kein Bild wird "
        "angesehen"
    ),
    "No peer is set to receive these objects.": "Kein Partner soll diese Objekte bekommen.",
    "No score: {why}.": "Kein Vergleichswert: {why}.",
    "Not chosen:": "Nicht ausgewählt:",
    "Not yet stored by {peer}": "Noch nicht gespeichert von {peer}",
    "Nothing to deliver.": "Nichts zuzustellen.",
    "Now": "Jetzt",
    "Objects with the same ending are the same object: what was found is the same, bit for bit. A "
    "difference is the right minus the left.": (
        "Objekte mit gleichem Ende sind dasselbe Objekt: Was gefunden wurde, ist Bit für Bit gleich. Ein "
        "Unterschied ist die rechte Spalte minus die linke."
    ),
    "{count} image of this analysis came again under another identity (patient, study or order), with the "
    "same pixels.": (
        "{count} Bild dieser Auswertung kam noch einmal unter anderer Identität (Patient, Studie oder "
        "Auftrag), mit denselben Pixeln."
    ),
    "{count} images of this analysis came again under another identity (patient, study or order), with the "
    "same pixels.": (
        "{count} Bilder dieser Auswertung kamen noch einmal unter anderer Identität (Patient, Studie oder "
        "Auftrag), mit denselben Pixeln."
    ),
    "In all it has {count} image. What is shown here is of the first.": (
        "Insgesamt hat sie {count} Bild. Was hier steht, ist vom ersten."
    ),
    "In all it has {count} images. What is shown here is of the first.": (
        "Insgesamt hat sie {count} Bilder. Was hier steht, ist von den ersten."
    ),
    "On hold:": "Löschsperre:",
    "Open finding.json": "finding.json öffnen",
    "Open in the viewer": "Im Viewer öffnen",
    "Open the report (PDF)": "Bericht öffnen (PDF)",
    "Opted out:": "Widersprochen:",
    "Ordered to be scored again from the measures of version {number}; the images are not looked at.": (
        "Bestellt: neue Vergleichswerte aus den Messwerten von Version {number}; die Bilder werden nicht "
        "angesehen."
    ),
    "Outputs": "Objekte",
    "Outside the intended use:": "Außerhalb der Zweckbestimmung:",
    "Patient and study": "Patient und Studie",
    "Peer": "Partner",
    "Percentile": "Perzentil",
    "Pictures appear when the analysis is finished.": "Bilder erscheinen, wenn die Auswertung fertig ist.",
    "Place among the corners of the sex-specific norm:": (
        "Lage zu den Ecken der Referenztabelle des Geschlechts:"
    ),
    "Place in the reference": "Lage in der Referenz",
    "Provenance": "Herkunft",
    "Quality checks": "Qualitätsprüfungen",
    "Ready": "Bereit",
    "Ready for analysis": "Bereit zur Auswertung",
    "Reissue under the new identity": "Unter der neuen Identität neu ausstellen",
    "Release the hold": "Löschsperre aufheben",
    "Replay": "Nachrechnen",
    "Replayed on {at}:": "Nachgerechnet am {at}:",
    "Result": "Ergebnis",
    "Retry": "Noch einmal",
    "Reviewed by:": "Durchgesehen von:",
    "Run again": "Neu auswerten",
    "SOP instance UID": "SOP-Instanz-UID",
    "Score again": "Neu vergleichen",
    "Scored again from the measures of version {number}; the images were not looked at.": (
        "Neu verglichen aus den Messwerten von Version {number}; die Bilder wurden nicht angesehen."
    ),
    "Scores": "Vergleichswerte",
    "Seconds by step": "Sekunden je Schritt",
    "Segmentation on the images, version {number}": "Segmentierung auf den Bildern, Version {number}",
    "Send again": "Noch einmal senden",
    "Send {kind} to {peer} again": "{kind} noch einmal an {peer} senden",
    "Sent by {senders}.": "Gesendet von {senders}.",
    "Series taken as complete": "Serie gilt als vollständig",
    "Side by side": "Nebeneinander",
    "Size": "Größe",
    "Smallest detectable": "Kleinste erkennbare",
    "Software": "Software",
    "Station, from the caudal end": "Station, vom kaudalen Ende",
    "Stations": "Stationen",
    "Stored": "Gespeichert",
    "Stored by {peer}": "Gespeichert von {peer}",
    "Study UID": "Studien-UID",
    "The files of this result were taken away on {at}; the finding stays.": (
        "Die Dateien dieses Ergebnisses wurden am {at} entfernt; das Messergebnis bleibt."
    ),
    "The first are measured; the others are kept aside.": (
        "Gemessen sind die ersten; die anderen liegen beiseite."
    ),
    "The images are kept.": "Die Bilder werden aufbewahrt.",
    "The images are measured anew, as the next version": (
        "Die Bilder werden neu gemessen, als nächste Version"
    ),
    "The images were taken away on {at}, after the time they are kept.": (
        "Die Bilder wurden am {at} entfernt, nach ihrer Aufbewahrungszeit."
    ),
    "The replay is in the queue. Its outcome appears on this page; nothing is published.": (
        "Die Nachrechnung ist in der Warteschlange. Ihr Ergebnis erscheint auf dieser Seite; veröffentlicht "
        "wird nichts."
    ),
    "The replay ordered by {name}, {at}, could not be made:": (
        "Die Nachrechnung, bestellt von {name}, {at}, war nicht möglich:"
    ),
    "The rules have not decided yet.": "Die Regeln haben noch nicht entschieden.",
    "The same images once more, compared bit for bit with this result; nothing is published": (
        "Dieselben Bilder noch einmal, Bit für Bit mit diesem Ergebnis verglichen; veröffentlicht wird nichts"
    ),
    "There is a newer version of this analysis: {link} ({state}).": (
        "Es gibt eine neuere Version dieser Auswertung: {link} ({state})."
    ),
    "There is no picture of this result.": "Von diesem Ergebnis gibt es kein Bild.",
    "Timeline": "Zeitleiste",
    "Tries": "Versuche",
    "Unit": "Einheit",
    "Unverified output of a network.": "Ungeprüftes Ergebnis eines Netzes.",
    "Value": "Wert",
    "Version {number}": "Version {number}",
    "Versions": "Versionen",
    "Versions {one} and {other}": "Versionen {one} und {other}",
    "Versions {one} and {other} side by side": "Versionen {one} und {other} nebeneinander",
    "Whoever was sent this result gets a report that takes its place and a rejection note; the result "
    "counts for nothing any more. This cannot be taken back: a rerun makes a new version.": (
        "Wem dieses Ergebnis gesendet wurde, der bekommt einen Bericht, der an seine Stelle tritt, und "
        "eine Rejection Note; das Ergebnis gilt nicht mehr. Das lässt sich nicht rückgängig machen: "
        "Eine neue Auswertung macht eine neue Version."
    ),
    "Why:": "Warum:",
    "Withdraw": "Zurückziehen",
    "Withdrawn by {name}, {at}": "Zurückgezogen von {name}, {at}",
    "Withdrawn:": "Zurückgezogen:",
    "Withheld:": "Zurückgehalten:",
    "a new window": "neues Fenster",
    "asked again {at}": "erneut gefragt {at}",
    "attempt {number}": "Versuch {number}",
    "compartment {value}": "Kompartiment {value}",
    "differs": "verschieden",
    "from {senders}": "von {senders}",
    "identical, bit for bit": "gleich, Bit für Bit",
    "inside the intended use of the network {name}": "innerhalb der Zweckbestimmung des Netzes {name}",
    "next try {at}": "nächster Versuch {at}",
    "no description": "keine Beschreibung",
    "no name": "kein Name",
    "not given": "nicht angegeben",
    "not given, because not both measures are scored": (
        "nicht angegeben, weil nicht beide Messwerte verglichen sind"
    ),
    "not identical, {voxels} voxels and {numbers} numbers differ": (
        "nicht gleich, {voxels} Voxel und {numbers} Zahlen sind verschieden"
    ),
    "not known yet": "noch nicht bekannt",
    "not passed": "nicht bestanden",
    "not separated": "nicht getrennt",
    "of the withdrawal": "der Zurückziehung",
    "open||not done": "offen",
    "passed": "bestanden",
    "patient's right on the left": "rechts des Patienten ist links",
    "replay ordered": "Nachrechnung bestellt",
    "scored; {software} measured": "verglich; {software} maß",
    "set by {name}, {at}": "gesetzt von {name}, {at}",
    "side by side": "nebeneinander",
    "slice step, rows, columns": "Schichtabstand, Zeilen, Spalten",
    "this one": "diese",
    "total": "gesamt",
    "with analysis {link}": "mit Auswertung {link}",
    "z of {measure}": "z von {measure}",
    "{count} failed": "{count} fehlgeschlagen",
    "{count} given up": "{count} aufgegeben",
    "{count} held for review": "{count} warten auf Durchsicht",
    "{count} image came again and could not be compared, most often because it is compressed in another "
    "way. The first are measured.": (
        "{count} Bild kam noch einmal und ließ sich nicht vergleichen, meist weil es anders komprimiert "
        "ist. Gemessen sind die ersten."
    ),
    "{count} image came again with other pixels or in another place.": (
        "{count} Bild kam noch einmal mit anderen Pixeln oder an anderer Stelle."
    ),
    "{count} image received": "{count} Bild empfangen",
    "{count} images": "{count} Bilder",
    "{count} images came again and could not be compared, most often because they are compressed in "
    "another way. The first are measured.": (
        "{count} Bilder kamen noch einmal und ließen sich nicht vergleichen, meist weil sie anders "
        "komprimiert sind. Gemessen sind die ersten."
    ),
    "{count} images came again with other pixels or in another place.": (
        "{count} Bilder kamen noch einmal mit anderen Pixeln oder an anderer Stelle."
    ),
    "{count} images received": "{count} Bilder empfangen",
    "{count} slice over {mm} mm": "{count} Schicht über {mm} mm",
    "{count} slices over {mm} mm": "{count} Schichten über {mm} mm",
    "{count} waiting": "{count} warten",
    "{object} of station {number}": "{object} der Station {number}",
    "{some} of {count} objects": "{some} von {count} Objekten",
    "{years} years": "{years} Jahre",
}
_CODES: Final[dict[str, str]] = {
    "Fat image": "Fettbild",
    "Fat image of a further station": "Fettbild einer weiteren Station",
    "Further station": "Weitere Station",
    "Image": "Bild",
    "Part of a Dixon acquisition": "Teil einer Dixon-Aufnahme",
    "Profile along the spine": "Profil entlang der Wirbelsäule",
    "Reference curve": "Referenzkurve",
    "Segmentation on the images": "Segmentierung auf den Bildern",
    "Water image": "Wasserbild",
    "another execution provider": "anderer Execution Provider",
    "another kind of device": "andere Art von Gerät",
    "another network": "anderes Netz",
    "another precision": "andere Genauigkeit",
    "not known on what device it was measured": "nicht bekannt, auf welchem Gerät gemessen wurde",
    "other software": "andere Software",
    "scores not compared, for norms or policy changed": (
        "Vergleichswerte nicht geprüft, denn Referenztabellen oder Regeln haben sich geändert"
    ),
}
GERMAN: Final[dict[str, str]] = {**_PAGE, **_CODES}
