"""German for every phrase of the pages, by its English, in a module for each room.

Phrases of results (measures, flags, checks, reasons) have theirs in ``service.core.german``.
"""

from typing import Final

from service.web.german import (
    activations,
    analysis,
    audit,
    events,
    frame,
    funnel,
    people,
    population,
    reviews,
    slices,
    status,
    tables,
    words,
)

#: Each module is a table of its own, so that nobody waits for another to write down a phrase.
TABLES: Final[dict[str, dict[str, str]]] = {
    "activations": activations.GERMAN,
    "analysis": analysis.GERMAN,
    "audit": audit.GERMAN,
    "events": events.GERMAN,
    "frame": frame.GERMAN,
    "funnel": funnel.GERMAN,
    "people": people.GERMAN,
    "population": population.GERMAN,
    "reviews": reviews.GERMAN,
    "slices": slices.GERMAN,
    "status": status.GERMAN,
    "tables": tables.GERMAN,
    "words": words.GERMAN,
}
GERMAN: Final[dict[str, str]] = {
    english: german for table in TABLES.values() for english, german in table.items()
}
