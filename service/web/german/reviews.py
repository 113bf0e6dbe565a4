"""German for reviews of drawings, and for drawings that people corrected."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    "Waiting for a review": "Warten auf eine Durchsicht",
    'Peers with `release = "after_review"` get nothing of these results before a reviewer accepts the '
    "drawing.": (
        'Partner mit `release = "after_review"` bekommen von diesen Ergebnissen nichts, bevor jemand die '
        "Zeichnung annimmt."
    ),
    "Nothing waits.": "Nichts wartet.",
    "finished {at}": "fertig {at}",
    "What readers said": "Was bei der Durchsicht gesagt wurde",
    "Verdicts": "Urteile",
    "Results": "Ergebnisse",
    "no network": "kein Netz",
    "The latest review of each result.": "Die jeweils letzte Durchsicht eines Ergebnisses.",
    "Nobody has reviewed a result yet.": "Noch niemand hat ein Ergebnis durchgesehen.",
    "Results that several readers rated: {results}. Pairs of readers of whom both said the same: {same} of "
    "{pairs} ({share}).": (
        "Ergebnisse mit mehreren Beurteilungen: {results}. Paare von Lesenden, die beide dasselbe sagten: "
        "{same} von {pairs} ({share})."
    ),
    "Drawings that people corrected": "Von Personen berichtigte Zeichnungen",
    "How far the drawing of the network and what a person made of it agree: edited minus automatic, over the "
    "latest correction of each drawing. Withdrawn results are left out.": (
        "Wie weit die Zeichnung des Netzes und das, was eine Person daraus machte, übereinstimmen: "
        "bearbeitet "
        "minus automatisch, über die jeweils letzte Berichtigung. Zurückgezogene Ergebnisse zählen nicht."
    ),
    "Agreement": "Übereinstimmung",
    "{count} case": "{count} Fall",
    "{count} cases": "{count} Fälle",
    "Cases": "Fälle",
    "Bias": "Mittlere Abweichung",
    "Limits of agreement": "Übereinstimmungsgrenzen",
    "from five cases on": "ab fünf Fällen",
    "Overlap (Dice)": "Überlappung (Dice)",
    "Segment": "Segment",
    "Mean": "Mittel",
    "Lowest||a value": "Kleinste",
    "Nobody has corrected a drawing yet.": "Noch niemand hat eine Zeichnung berichtigt.",
    "What came back last": "Was zuletzt zurückkam",
    "Of": "Zu",
    "measured:": "gemessen:",
    "not taken:": "nicht übernommen:",
    "waits": "wartet",
    "Review of the drawing": "Durchsicht der Zeichnung",
    "Nobody has reviewed this drawing.": "Niemand hat diese Zeichnung durchgesehen.",
    "A person edited this drawing; it needs a review of its own all the same.": (
        "Eine Person hat diese Zeichnung bearbeitet; sie braucht trotzdem eine eigene Durchsicht."
    ),
    "Something of this result is held until a reviewer accepts it.": (
        "Etwas von diesem Ergebnis wird zurückgehalten, bis jemand es annimmt."
    ),
    "Review the drawing": "Die Zeichnung durchsehen",
    "The drawing is": "Die Zeichnung ist",
    "right||a drawing": "richtig",
    "right but for small faults": "bis auf kleine Fehler richtig",
    "not to be used (withdraws the result)": "nicht zu verwenden (zieht das Ergebnis zurück)",
    "A person edited the drawing that was measured.": "Eine Person hat die gemessene Zeichnung bearbeitet.",
    "By {name}, {type}, sent by {peer}.": "Von {name}, {type}, gesendet von {peer}.",
    "somebody who is not named": "einer nicht genannten Person",
    "Reference tables and repeatability of the network do not apply.": (
        "Referenztabellen und Wiederholbarkeit des Netzes gelten dafür nicht."
    ),
    "All corrections": "Alle Berichtigungen",
    "Agreement with the drawing of the network": "Übereinstimmung mit der Zeichnung des Netzes",
    "Automatic": "Automatisch",
    "Edited": "Bearbeitet",
    "A drawing that a person corrected is to be measured.": (
        "Eine von einer Person berichtigte Zeichnung wird noch gemessen."
    ),
    "volume of the compartment": "Volumen des Kompartiments",
    "volume of lean muscle": "Volumen des mageren Muskels",
    "volume of intermuscular fat": "Volumen des intermuskulären Fetts",
    "share of intermuscular fat": "Anteil des intermuskulären Fetts",
    "ml": "ml",
    "percentage points": "Prozentpunkte",
}
