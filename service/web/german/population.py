"""German for the page of the population, and for its drawings."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    "Population": ("Population"),
    "population viewed": ("Population angesehen"),
    "fewer than 5": ("unter 5"),
    "Many results beside each other, current ones only, counted by person: each with the latest "
    "result, by month with the latest of that month. Nothing is shown of fewer than five people, "
    "numbers of people are rounded to five, and single people are not drawn. Results of people "
    "without a patient ID are left out. How far enrolment has come is on the page": (
        "Viele Ergebnisse nebeneinander, nur aktuelle, nach Personen gezählt: jede mit ihrem "
        "letzten Ergebnis, je Monat mit dem letzten des Monats. Nichts wird von weniger als fünf "
        "Personen gezeigt, Anzahlen sind auf fünf gerundet, und einzelne Personen werden nicht "
        "gezeichnet. Ergebnisse ohne Patienten-ID fehlen. Wie weit die Aufnahme ist, steht auf der "
        "Seite"
    ),
    "No results of five or more people can be drawn together yet.": (
        "Es gibt noch keine Ergebnisse von fünf oder mehr Personen, die zusammen gezeichnet werden dürfen."
    ),
    "There are no such results of five or more people.": (
        "Solche Ergebnisse von fünf oder mehr Personen gibt es nicht."
    ),
    "Results that may be drawn together": ("Ergebnisse, die zusammen gezeichnet werden dürfen"),
    "Drift by": ("Drift nach"),
    "Show": ("Zeigen"),
    "Measures of one definition, network, contrast, region and stretch of patient are drawn "
    "together, and no others: they cannot be compared.": (
        "Messwerte einer Definition, eines Netzes, eines Kontrasts, einer Region und einer Länge "
        "werden zusammen gezeichnet und keine anderen: Sie sind nicht vergleichbar."
    ),
    "Fat and lean muscle": ("Fett und magerer Muskel"),
    "Squares of half a standard deviation, stronger with more people; those of fewer than five are "
    "left blank. Dashed: the outer quartiles of the reference people. Points would show single "
    "people, so there are none.": (
        "Quadrate von einer halben Standardabweichung, kräftiger bei mehr Personen; solche mit "
        "weniger als fünf bleiben leer. Gestrichelt: die äußeren Quartile der Referenzpersonen. "
        "Punkte würden einzelne Personen zeigen, darum gibt es keine."
    ),
    "Scores by {norms}.": ("Verglichen mit {norms}."),
    "People by quadrant": ("Personen nach Quadrant"),
    "Quadrant": ("Quadrant"),
    "People": ("Personen"),
    "Too few people have both scores by the same reference tables.": (
        "Zu wenige Personen sind in beiden Messwerten mit denselben Referenztabellen verglichen."
    ),
    "Over age": ("Über das Alter"),
    "Median and quartiles of ten years of age each; no value with fewer than five people on one "
    "side of it.": (
        "Median und Quartile von je zehn Lebensjahren; kein Wert mit weniger als fünf Personen auf "
        "einer Seite."
    ),
    "Lines: 5th, 25th, 50th, 75th and 95th centile of {title}, {norm} ({status}).": (
        "Linien: 5., 25., 50., 75. und 95. Perzentil von {title}, {norm} ({status})."
    ),
    "No reference table applies to these results, so no centiles are drawn.": (
        "Keine Referenztabelle gilt für diese Ergebnisse, darum sind keine Perzentile gezeichnet."
    ),
    "As a table": ("Als Tabelle"),
    "Sex": ("Geschlecht"),
    "25th centile": ("25. Perzentil"),
    "Median": ("Median"),
    "75th centile": ("75. Perzentil"),
    "Women": ("Frauen"),
    "Men": ("Männer"),
    "Too few people of known age and sex have this measure.": (
        "Zu wenige Personen von bekanntem Alter und Geschlecht haben diesen Messwert."
    ),
    "Flag rate": ("Anteil mit Hinweis"),
    "Of the people of whom flags could be judged, so many had one raised: {rate}. A flag is a "
    "research finding and no diagnosis.": (
        "Von den Personen, bei denen Hinweise beurteilt werden konnten, hatten so viele einen: "
        "{rate}. Ein Hinweis ist ein Ergebnis der Forschung und keine Diagnose."
    ),
    "By month of the study; left out where fewer than five people had a flag raised, or none.": (
        "Nach Monat der Studie; ausgelassen, wo weniger als fünf Personen einen Hinweis hatten oder keinen."
    ),
    "Month": ("Monat"),
    "Drift": ("Drift"),
    "The median of each month against what was measured of people of the same sex and decade of age"
    " in the baseline: the first twelve months of ten or more people (six at least). A square lies "
    "outside its control limits; in this month or the last that is an alarm, which the status page "
    "shows too. Limits hold the spread of a median of so many people and that between the months of"
    " the baseline, three times.": (
        "Der Median jedes Monats, verglichen mit dem, was bei Personen gleichen Geschlechts und "
        "Lebensjahrzehnts im Vergleichszeitraum gemessen wurde: den ersten zwölf Monaten mit zehn "
        "oder mehr Personen (mindestens sechs). Ein Quadrat liegt jenseits der Kontrollgrenzen; in "
        "diesem oder dem letzten Monat ist das ein Alarm, den auch die Statusseite zeigt. Die "
        "Grenzen fassen die Streuung eines Medians so vieler Personen und die zwischen den Monaten "
        "des Vergleichszeitraums, dreifach."
    ),
    "All results": ("Alle Ergebnisse"),
    "not known": ("nicht bekannt"),
    "The latest month of each": ("Der jeweils letzte Monat"),
    "Measure": ("Messgröße"),
    "Results of": ("Ergebnisse von"),
    "Level": ("Niveau"),
    "Limits": ("Grenzen"),
    "alarm": ("Alarm"),
    "There is no baseline yet: six months of ten or more people of known age and sex.": (
        "Noch kein Vergleichszeitraum: sechs Monate mit zehn oder mehr Personen von bekanntem Alter"
        " und Geschlecht."
    ),
    "Scanner": ("Gerät"),
    "Protocol": ("Protokoll"),
    "Site": ("Standort"),
    "in the baseline": ("im Vergleichszeitraum"),
    "within its limits": ("innerhalb der Grenzen"),
    "outside its limits": ("jenseits der Grenzen"),
    "no baseline yet": ("noch kein Vergleichszeitraum"),
    "for the bundled phantom only": ("nur für das mitgelieferte Phantom"),
    "of another definition": ("von anderer Definition"),
    "made with another network": ("mit einem anderen Netz gemacht"),
    "made with another fat method": ("mit einer anderen Fettmethode gemacht"),
    "of another contrast": ("von anderem Kontrast"),
    "of another region": ("von anderer Region"),
    "of another stretch of patient": ("von anderer Länge"),
    "its values are adjusted for height or scanner, these are not": (
        "ihre Werte sind um Größe oder Gerät bereinigt, diese nicht"
    ),
    "z of lean muscle (LMM)": ("z des mageren Muskels (LMM)"),
    "z of fat (IMAT)": ("z des Fetts (IMAT)"),
    "about {count} people": ("etwa {count} Personen"),
    "People in the plane of the two scores": ("Personen in der Ebene der beiden Vergleichswerte"),
    "Median and quartiles over age, by sex": ("Median und Quartile über das Alter, nach Geschlecht"),
    "Age (years)": ("Alter (Jahre)"),
    "People with a raised flag": ("Personen mit einem Hinweis"),
    "Flag rate by month": ("Anteil mit Hinweis nach Monat"),
    "Median against expected": ("Median gegen das Erwartete"),
    "Median by month, with control limits": ("Median nach Monat, mit Kontrollgrenzen"),
    "{count} not, or not yet": ("{count} nicht oder noch nicht"),
    "Funnel of enrolment": ("Trichter der Aufnahme"),
}
