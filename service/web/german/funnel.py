"""German for the page of the funnel."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    "How far what began to arrive in this time has come by now. One thing is one input set: the images that "
    "are measured together. A series that is not sorted into input sets counts as one.": (
        "Wie weit das gekommen ist, was in dieser Zeit anzukommen begann. Ein Stück ist ein Eingabesatz: die "
        "Bilder, die zusammen gemessen werden. Eine Serie, die nicht in Eingabesätze sortiert ist, zählt als "
        "eines."
    ),
    "Steps and losses": "Schritte und Verluste",
    "Step, and what did not reach it": "Schritt, und was ihn nicht erreichte",
    "Of received": "Vom Empfangenen",
    "Picture": "Bild",
    "Studies": "Studien",
    "Of the measured, a flag is raised on {count}.": "Vom Gemessenen tragen {count} einen Hinweis.",
    "Still under way: {count}.": "Noch unterwegs: {count}.",
    "The numbers add up: a step and what did not reach it are the step before.": (
        "Die Zahlen gehen auf: Ein Schritt und was ihn nicht erreichte sind zusammen der Schritt davor."
    ),
    "From||a sender": "Von",
    "No study.": "Keine Studie.",
    "Objects that were not kept, since the installation": (
        "Objekte, die nicht behalten wurden, seit der Installation"
    ),
    "Objects": "Objekte",
    "Every object that came was kept.": "Jedes Objekt, das kam, wurde behalten.",
    "under 1 %": "unter 1 %",
}
