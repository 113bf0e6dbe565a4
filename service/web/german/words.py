"""German for the words of ``service.web.words``."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    # States.
    "receiving": "kommt an",
    "complete": "vollständig",
    "waiting": "wartet",
    "running": "läuft",
    "measured": "gemessen",
    "not assessable": "nicht beurteilbar",
    "not eligible": "nicht geeignet",
    "failed": "fehlgeschlagen",
    "superseded": "ersetzt",
    "sending": "wird gesendet",
    "stored by peer": "beim Partner gespeichert",
    "confirmed": "bestätigt",
    "given up": "aufgegeben",
    "held for review": "wartet auf Durchsicht",
    "cannot be reached": "nicht erreichbar",
    "being probed": "wird erprobt",
    # Contrasts and measures.
    "Dixon in-phase": "Dixon in Phase",
    "Dixon opposed-phase": "Dixon gegenphasig",
    "Fat fraction": "Fettanteil",
    "other": "anderer",
    "Compartment": "Muskelkompartiment",
    "Fat signal fraction": "Signal-Fettanteil",
    "LMM height index": "LMM/Größe²",
    # Flags and scores.
    "IMAT above reference": "IMAT über Referenz",
    "signal fat fraction above reference": "Signal-Fettanteil über Referenz",
    "LMM below reference": "LMM unter Referenz",
    "scored": "verglichen",
    "no norm applies": "keine Referenztabelle passt",
    "outside the range of the norm": "außerhalb des Bereichs der Referenztabelle",
    "age, sex or height is missing": "Alter, Geschlecht oder Größe fehlt",
    "higher IMAT, lower LMM": "mehr IMAT, weniger LMM",
    "higher IMAT, higher LMM": "mehr IMAT, mehr LMM",
    "lower IMAT, lower LMM": "weniger IMAT, weniger LMM",
    "lower IMAT, higher LMM": "weniger IMAT, mehr LMM",
    "between the corners": "zwischen den Ecken",
    # How a series came to be taken as complete.
    "no image came for the quiet time, and the slices have no hole": (
        "während der Ruhezeit kam kein Bild, und die Schichten sind lückenlos"
    ),
    "the longest waiting time passed": "die längste Wartezeit ist verstrichen",
    "as many images came as the sender has, and the slices have no hole": (
        "so viele Bilder kamen, wie der Sender hat, und die Schichten sind lückenlos"
    ),
    "every image came that the scanner says it made (MPPS)": (
        "jedes Bild kam, das das Gerät nach eigener Angabe gemacht hat (MPPS)"
    ),
    # Objects.
    "Segmentation (SEG)": "Segmentierung (SEG)",
    "Structured report (SR)": "Strukturierter Bericht (SR)",
    "Summary picture (SC)": "Übersichtsbild (SC)",
    "Report (encapsulated PDF)": "Bericht (PDF in DICOM)",
    "Outlines (presentation state)": "Konturen (Presentation State)",
    "Rejection note": "Rejection Note",
    # Withdrawals, reviews, flags.
    "the muscles were not drawn rightly": "die Muskeln sind nicht richtig gezeichnet",
    "the images are of another person": "die Bilder sind von einer anderen Person",
    "the images are not fit for the measurement": "die Bilder eignen sich nicht für die Messung",
    "fault of the software or of its data": "Fehler der Software oder ihrer Daten",
    "another reason": "anderer Grund",
    "withdrawn": "zurückgezogen",
    "accepted": "angenommen",
    "accepted, small faults": "angenommen, kleine Fehler",
    "rejected": "abgelehnt",
    "acknowledged": "zur Kenntnis genommen",
    "dismissed": "verworfen",
    "handed over": "übergeben",
    "opened again": "wieder geöffnet",
    "open": "offen",
    # What a peer does not take.
    "Does not take the label map: gets every set with a binary segmentation.": (
        "Nimmt keine Label Map: bekommt jeden Satz mit binärer Segmentierung."
    ),
    "Does not take Comprehensive 3D SR: gets every set with the report in an older class.": (
        "Nimmt kein Comprehensive 3D SR: bekommt jeden Satz mit dem Bericht in einer älteren Klasse."
    ),
    "Does not take Comprehensive SR: gets every set with the report as Enhanced SR.": (
        "Nimmt kein Comprehensive SR: bekommt jeden Satz mit dem Bericht als Enhanced SR."
    ),
    # DIMSE statuses.
    "success": "Erfolg",
    "processing failure": "Verarbeitungsfehler",
    "duplicate SOP instance": "SOP-Instanz schon vorhanden",
    "invalid SOP instance": "ungültige SOP-Instanz",
    "SOP class not supported": "SOP-Klasse nicht unterstützt",
    "not authorised": "nicht berechtigt",
    "no such object": "Objekt nicht vorhanden",
    "class and object conflict": "SOP-Klasse und Objekt passen nicht zusammen",
    "duplicate transaction": "Transaktion schon vorhanden",
    "resource limitation": "Ressourcen erschöpft",
    "out of resources": "keine Ressourcen frei",
    "data set does not match SOP class": "Datensatz passt nicht zur SOP-Klasse",
    "stored with warning": "mit Warnung gespeichert",
    "cannot understand": "nicht verstanden",
    "female": "weiblich",
    "male": "männlich",
    "other sex": "anderes Geschlecht",
    "reading the images": "Bilder lesen",
    "measuring": "Messen",
    "reading the headers": "Kopfdaten lesen",
    "scoring": "Vergleichen",
    "making the objects": "Objekte erzeugen",
}
