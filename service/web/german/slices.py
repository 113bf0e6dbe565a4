"""German for the slices of a result."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    "Colours of the drawing": "Farben der Zeichnung",
    "Drawing": "Zeichnung",
    "Hide the drawing": "Zeichnung ausblenden",
    "Lowest": "Unterste",
    "No pictures of the slices are kept of this result. A new run keeps them, unless they are turned off.": (
        "Von diesem Ergebnis sind keine Bilder der Schichten aufbewahrt. Eine neue Auswertung bewahrt sie "
        "auf, wenn sie nicht abgeschaltet sind."
    ),
    "Seen from the feet: the patient's left is on the right of the picture.": (
        "Von den Füßen gesehen: Links des Patienten ist rechts im Bild."
    ),
    "Show the drawing": "Zeichnung einblenden",
    "Shown is the water image.": "Gezeigt ist das Wasserbild.",
    "Shown {times} times smaller than received.": "{times}-fach kleiner gezeigt als empfangen.",
    "Slice by slice": "Schicht für Schicht",
    "Slice, from the caudal end": "Schicht, vom kaudalen Ende",
    "Slices: arrow keys, Home and End go through them, space or O hides and shows the drawing": (
        "Schichten: Pfeiltasten, Pos1 und Ende blättern, Leertaste oder O blendet die Zeichnung aus und ein"
    ),
    "The files of this result were taken away on {at}, after the time they are kept. What is left are "
    "the numbers.": (
        "Die Dateien dieses Ergebnisses wurden am {at} entfernt, nach ihrer Aufbewahrungszeit. Geblieben "
        "sind die Zahlen."
    ),
    "The images of the slices are too large to be kept for this page. What is here is the drawing.": (
        "Die Bilder der Schichten sind zu groß, um für diese Seite aufbewahrt zu werden. Hier ist die "
        "Zeichnung."
    ),
    "The images were taken away on {at}, after the time they are kept, and no drawing is kept of this "
    "result.": (
        "Die Bilder wurden am {at} entfernt, nach ihrer Aufbewahrungszeit, und von diesem Ergebnis ist "
        "keine Zeichnung aufbewahrt."
    ),
    "The images were taken away on {at}, after the time they are kept. What is left is the drawing.": (
        "Die Bilder wurden am {at} entfernt, nach ihrer Aufbewahrungszeit. Geblieben ist die Zeichnung."
    ),
    "The pictures cannot be loaded. Load the page again.": (
        "Die Bilder lassen sich nicht laden. Bitte die Seite neu laden."
    ),
    "The result is withheld, so no drawing is shown.": (
        "Das Ergebnis ist zurückgehalten, darum wird keine Zeichnung gezeigt."
    ),
    "Through the slices": "Durch die Schichten",
    "Towards the feet": "Zu den Füßen",
    "Towards the head": "Zum Kopf",
    "Uppermost": "Oberste",
    "another station counts this place": "diese Stelle zählt eine andere Station",
    "fat within it, left": "Fett darin, links",
    "fat within it, right": "Fett darin, rechts",
    "lean muscle, left": "magerer Muskel, links",
    "lean muscle, right": "magerer Muskel, rechts",
    "left {left_lean} cm² lean and {left_fat} cm² fat, right {right_lean} cm² lean and {right_fat} cm² fat": (
        "links {left_lean} cm² mager und {left_fat} cm² Fett, rechts {right_lean} cm² mager und {right_fat} "
        "cm² Fett"
    ),
    "muscle with its fat, left": "Muskel mit seinem Fett, links",
    "muscle with its fat, right": "Muskel mit seinem Fett, rechts",
    "nothing is drawn here": "hier ist nichts gezeichnet",
}
