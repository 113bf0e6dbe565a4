"""German for the sentences of a finding and of the rules, by the English phrase each was made by."""

from typing import Final

#: English phrase to German phrase; ``{name:n}`` stands for a number, ``{name:r}`` for what is left as it is,
#: ``{name}`` for whatever stands there.
SENTENCES: Final[dict[str, str]] = {
    # Quality checks.
    "Found: {sides}.": "Gefunden: {sides}.",
    "Mean area left {left:n}, right {right:n} cm2; expected {low:n} to {high:n}.": (
        "Mittlere Fläche links {left}, rechts {right} cm²; erwartet {low} bis {high}."
    ),
    "Larger side over smaller side {ratio:n}; at most {limit:n} expected.": (
        "Verhältnis der größeren zur kleineren Seite {ratio}; erwartet höchstens {limit}."
    ),
    "Muscle was found in {share:n} of the slices; at least {limit:n} expected.": (
        "Muskel wurde in {share} der Schichten gefunden; erwartet mindestens {limit}."
    ),
    "The centre of the left compartment lies {gap:n} mm to the left of the right one.": (
        "Die Mitte des linken Kompartiments liegt {gap} mm links von der des rechten."
    ),
    "Muscle reaches the image border in {slices:n} slices.": (
        "Der Muskel reicht in {slices} Schichten bis an den Bildrand."
    ),
    "Dice {dice:n} between answers to image and mirror image; at least {limit:n}.": (
        "Dice {dice} zwischen den Antworten auf Bild und Spiegelbild; erwartet mindestens {limit}."
    ),
    "Unlike any axial image of the back that was drawn well: {features}.": (
        "Anders als jedes gut gezeichnete axiale Bild des Rückens: {features}."
    ),
    "Certainty and shape of the drawing are those of axial images of the back.": (
        "Sicherheit und Form der Zeichnung sind die von axialen Bildern des Rückens."
    ),
    "Predicted Dice {dice:n} (95 % interval {low:n} to {high:n}); at least {limit:n} expected.": (
        "Vorhergesagter Dice {dice} (95-%-Intervall {low} bis {high}); erwartet mindestens {limit}."
    ),
    "Not given: no calibrated estimate exists for this network.": (
        "Nicht angegeben: für dieses Netz gibt es keine kalibrierte Schätzung."
    ),
    "Not given: a person edited the drawing.": ("Nicht angegeben: eine Person hat die Zeichnung bearbeitet."),
    "A person edited the drawing; reference tables and repeatability of the network do not apply.": (
        "Eine Person hat die Zeichnung bearbeitet; Referenztabellen und Wiederholbarkeit des Netzes gelten "
        "dafür nicht."
    ),
    "The dates give {age:n} years and PatientAge {stated:n}; the dates were used.": (
        "Nach den Datumsangaben {age} Jahre, nach PatientAge {stated}; es gelten die Datumsangaben."
    ),
    "The series of the study disagree in {attributes}.": (
        "Die Serien der Studie unterscheiden sich in {attributes}."
    ),
    "The images of one series disagree about the person.": (
        "Die Bilder einer Serie nennen nicht dieselbe Person."
    ),
    "Nothing was compared with earlier studies.": "Mit früheren Studien wurde nichts verglichen.",
    "Sides are told by the {part} of the file. No DICOM objects are made of NIfTI.": (
        "Die Seiten folgen aus {part} der Datei. Aus NIfTI entstehen keine DICOM-Objekte."
    ),
    "No attribute names a contrast agent.": "Kein Attribut nennt ein Kontrastmittel.",
    "A contrast agent was given ({evidence}).": "Kontrastmittel wurde gegeben ({evidence}).",
    "On T2 images it changes muscle little, and fat is judged beside muscle.": (
        "In T2-Bildern ändert es den Muskel wenig, und Fett wird neben Muskel beurteilt."
    ),
    "Muscle is {ratio:n} times its noise; at least {limit:n} expected.": (
        "Das Muskelsignal ist das {ratio}-Fache seines Rauschens; erwartet mindestens das {limit}-Fache."
    ),
    "Voids of up to {size:n} mm across lie in or between the muscles, as metal leaves them, "
    "in {slices:n} of {all:n} slices.": (
        "Signalauslöschungen von bis zu {size} mm Breite, wie Metall sie hinterlässt, liegen in {slices} von "
        "{all} Schichten in oder zwischen den Muskeln."
    ),
    "No void of {size:n} mm across lies in or between the muscles.": (
        "In und zwischen den Muskeln liegt keine Signalauslöschung von {size} mm Breite."
    ),
    "Not looked for: on a water image fat is as dark as a void.": (
        "Nicht gesucht: im Wasserbild ist Fett so dunkel wie eine Signalauslöschung."
    ),
    "Fat fraction of muscle {muscle} (left, right; at most {most:n}), of subcutaneous fat {fat:n} "
    "(at least {least:n}).": (
        "Fettanteil im Muskel {muscle} (links, rechts; höchstens {most}), im Unterhautfett {fat} "
        "(mindestens {least})."
    ),
    "Fat fraction of muscle {muscle} (left, right; at most {most:n}), "
    "no subcutaneous fat in view to compare with.": (
        "Fettanteil im Muskel {muscle} (links, rechts; höchstens {most}), "
        "kein Unterhautfett zum Vergleich im Bild."
    ),
    "Water and fat are exchanged, or not on one scale.": (
        "Wasser und Fett sind vertauscht oder nicht gleich skaliert."
    ),
    "Water and fat image of one acquisition: {evidence}.": (
        "Wasser- und Fettbild einer Aufnahme: {evidence}."
    ),
    "Several images could belong to this {contrast} image as its Dixon partner; none was chosen.": (
        "Mehrere Bilder könnten als Dixon-Partner zu diesem Bild ({contrast}) gehören; keines wurde gewählt."
    ),
    "Method {method}.": "Methode {method}.",
    "{found:n} of {all:n} stations count together, {slices:n} slices over {length:n} mm; "
    "each place counts once.": (
        "{found} von {all} Stationen zählen zusammen, {slices} Schichten über {length} mm; jeder Ort zählt "
        "einmal."
    ),
    "Left out: station {number:n} from the caudal end ({codes}).": (
        "Nicht gezählt: Station {number} vom kaudalen Ende ({codes})."
    ),
    "On {contrast} images fat and muscle cannot be told apart; IMAT and LMM are withheld.": (
        "In Bildern dieses Kontrasts ({contrast}) lassen sich Fett und Muskel nicht trennen; IMAT und LMM "
        "werden nicht angegeben."
    ),
    "The fat method {method} is not known here.": "Die Fettmethode {method} ist hier unbekannt.",
    # What counts as muscle, by the card of the network that ships.
    "Erector spinae and multifidus of one side with the fat between and within them, inside the "
    "thoracolumbar fascia; without fascia, subcutaneous fat, the fat between muscle and fascia, "
    "quadratus lumborum, psoas, bone and the ligaments between the spinous processes.": (
        "M. erector spinae und Mm. multifidi einer Seite mit dem Fett zwischen und in ihnen, innerhalb der "
        "Fascia thoracolumbalis; ohne Faszie, Unterhautfett, das Fett zwischen Muskel und Faszie, "
        "M. quadratus lumborum, M. psoas, Knochen und die Bänder zwischen den Dornfortsätzen."
    ),
    "Only the largest connected piece of each side counts.": (
        "Es zählt nur das größte zusammenhängende Stück jeder Seite."
    ),
    "A pixel is inside where the probability, brought linearly to the image's own pixels, reaches the "
    "threshold; nothing is grown or stripped, and holes are filled in each slice.": (
        "Ein Pixel gehört dazu, wo die Wahrscheinlichkeit, linear auf die Pixel des Bildes gebracht, den "
        "Schwellenwert erreicht; es wird nichts aufgeweitet oder abgetragen, und Löcher werden in jeder "
        "Schicht gefüllt."
    ),
    # Content that cannot be read.
    "NumberOfFrames is {declared:n}, but {described:n} frames are described.": (
        "NumberOfFrames ist {declared}, beschrieben sind {described} Bilder."
    ),
    "{keyword} is missing.": "{keyword} fehlt.",
    "{keyword} is malformed.": "{keyword} ist fehlerhaft.",
    "PixelSpacing is not from {low:n} to {high:n} mm.": (
        "PixelSpacing liegt nicht zwischen {low} und {high} mm."
    ),
    "The image is longer than {length:n} mm by its matrix and PixelSpacing.": (
        "Das Bild ist nach Matrix und PixelSpacing länger als {length} mm."
    ),
    "The images are {photometric} with {samples:n} sample(s) per pixel, not grey.": (
        "Die Bilder sind {photometric} mit {samples} Werten je Pixel, nicht grau."
    ),
    "The images have {bits:n} bits per pixel, not 8 or 16.": (
        "Die Bilder haben {bits} Bit je Pixel, nicht 8 oder 16."
    ),
    "Pixels of shape {shape} do not fit a grid of {grid}.": (
        "Pixel der Form {shape} passen nicht auf ein Gitter von {grid}."
    ),
    # Flags.
    "There is no score.": "Es gibt keinen Vergleichswert.",
    "the evidence behind this flag covers sex {sexes:r} only.": (
        "Die Belege für diesen Hinweis gelten nur für Geschlecht {sexes}."
    ),
    "Indeterminate: {doubt} (z {z:n}, limit {limit}).": "Unbestimmt: {doubt} (z {z}, Grenze {limit}).",
    "Indeterminate: the interval of z {z:n} spans the limit ({limit}).": (
        "Unbestimmt: Das Intervall von z {z} schließt die Grenze ein ({limit})."
    ),
    "Not raised (z {z:n}, limit {limit}).": "Nicht gesetzt (z {z}, Grenze {limit}).",
    "This is no statement about risk.": "Das ist keine Aussage über ein Risiko.",
    "{text} (z {z:n}, limit {limit}).": "{text} (z {z}, Grenze {limit}).",
    # Rules.
    "{asked} takes these images ({when}).": "{asked} nimmt diese Bilder ({when}).",
    "{asked} leaves these images out ({when}).": "{asked} lässt diese Bilder aus ({when}).",
    "No rule of {rules:r} takes these images.": "Keine Regel von {rules} nimmt diese Bilder.",
    "{asked} took other images of the study; their result stands, for they are not kept any more.": (
        "{asked} hat andere Bilder der Studie genommen; deren Ergebnis bleibt, denn sie sind nicht mehr "
        "aufbewahrt."
    ),
    "{asked} comes before {other:r}, and took other images of the study.": (
        "{asked} kommt vor {other} und hat andere Bilder der Studie genommen."
    ),
    "{asked} prefers {what}: {there} in the images that it took, {here} in these.": (
        "{asked} zieht vor: {what}; in den genommenen Bildern {there}, in diesen {here}."
    ),
    "{asked} took equal images of the study that come first.": (
        "{asked} hat gleiche Bilder der Studie genommen, die zuerst kommen."
    ),
    # Scores.
    "No reference table fits ({tables}).": "Keine Referenztabelle passt ({tables}).",
    "A block of slices has a definition of its own.": "Ein Schichtblock hat eine eigene Definition.",
    "A drawing that a person edited has a definition of its own.": (
        "Eine von einer Person bearbeitete Zeichnung hat eine eigene Definition."
    ),
    "The measure could not be given, so there is nothing to score.": (
        "Das Maß konnte nicht angegeben werden, also gibt es nichts zu vergleichen."
    ),
    "A block of slices has no volume, so there is nothing to score.": (
        "Ein Schichtblock hat kein Volumen, also gibt es nichts zu vergleichen."
    ),
    "PatientSize (height) is missing.": "PatientSize (Größe) fehlt.",
    "The {what} is not known.": "Nicht bekannt: {what}.",
    "Age or sex is outside the reference table.": (
        "Alter oder Geschlecht liegt außerhalb der Referenztabelle."
    ),
    "The value is not above zero.": "Der Wert liegt nicht über null.",
    "The reference people were {low:n} to {high:n} years old; here it is extrapolated.": (
        "Die Referenzpersonen waren {low} bis {high} Jahre alt; hier wurde extrapoliert."
    ),
    "The interval holds the sampling error of the norm only.": (
        "Das Intervall enthält nur den Stichprobenfehler der Norm."
    ),
    "The error of measurement is of simulated repeats; nobody was scanned twice.": (
        "Der Messfehler stammt aus simulierten Wiederholungen; niemand wurde zweimal untersucht."
    ),
}
#: The same for what stands as a value in a sentence.
PARTS: Final[dict[str, str]] = {
    "{feature} {value:n} (at most {limit:n})": "{feature} {value} (höchstens {limit})",
    "z {side} {limit:n}": "z {side} {limit}",
    "Rule {name:r} of {rules:r}": "Regel {name} von {rules}",
    "{attribute:r} is {code:r}": "{attribute} ist {code}",
    "{attribute:r} is one of {codes:r}": "{attribute} ist eines von {codes}",
    "{attribute:r} has one of {listed:r}": "{attribute} enthält eines von {listed}",
    "{attribute:r} has none of {listed:r}": "{attribute} enthält keines von {listed}",
    "{attribute:r} is at least {low:n}": "{attribute} ist mindestens {low}",
    "{attribute:r} is at most {high:n}": "{attribute} ist höchstens {high}",
    "{attribute:r} is at least {low:n} and at most {high:n}": (
        "{attribute} ist mindestens {low} und höchstens {high}"
    ),
    "most {attribute:r}": "am meisten {attribute}",
    "least {attribute:r}": "am wenigsten {attribute}",
    "{asked}; it is {found} here": "{asked}; hier ist es {found}",
    "{asked}, which does not hold here": "{asked}, was hier nicht zutrifft",
    "no table of this measure is configured": "keine Tabelle dieses Maßes ist eingerichtet",
    "{table}: for the bundled phantom only": "{table}: nur für das mitgelieferte Phantom",
    "{table}: made for another definition than {definition}": (
        "{table}: für eine andere Definition als {definition}"
    ),
    "{table}: made with another network than {network}": "{table}: mit einem anderen Netz als {network}",
    "{table}: made with another fat method than {method}": (
        "{table}: mit einer anderen Fettmethode als {method}"
    ),
    "{table}: not made for the contrast {contrast}": "{table}: nicht für den Kontrast {contrast}",
    "{table}: not made for the region {region}": "{table}: nicht für die Region {region}",
    "{table}: the region of the images is unknown": "{table}: die Region der Bilder ist unbekannt",
    "{table}: made for a coverage of {low:n} to {high:n} mm, not of {found:n} mm": (
        "{table}: für eine Abdeckung von {low} bis {high} mm, nicht von {found} mm"
    ),
    "{table}: not made for the scanner {scanner}": "{table}: nicht für das Gerät {scanner}",
}
#: Words that stand as values in sentences.
VALUES: Final[dict[str, str]] = {
    "above": "über",
    "below": "unter",
    "always": "immer",
    "not known": "nicht bekannt",
    "the reference table is provisional": "die Referenztabelle ist vorläufig",
    "the error of measurement is not known": "der Messfehler ist nicht bekannt",
    "The share of intermuscular fat lies above the reference range": (
        "Der Anteil des intermuskulären Fetts liegt über dem Referenzbereich"
    ),
    "The signal fat fraction of the muscle lies above the reference range": (
        "Der Signal-Fettanteil des Muskels liegt über dem Referenzbereich"
    ),
    "Lean muscle for height lies below the reference range": (
        "Der magere Muskel liegt, auf die Größe bezogen, unter dem Referenzbereich"
    ),
    "left": "links",
    "right": "rechts",
    "nothing": "nichts",
    "none": "keine",
    "age": "Alter",
    "height": "Größe",
    "sex (M or F)": "Geschlecht (M oder F)",
    "(not named)": "(nicht genannt)",
    "same series": "gleiche Serie",
    "soft loss": "unscharfer Rand",
    "side doubt": "Zweifel an der Seite",
    "mirror difference": "Unterschied zum Spiegelbild",
    "dropped": "verworfener Anteil",
    "shape distance": "Abstand der Form",
}
