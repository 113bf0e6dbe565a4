"""The table of oddities: what is sent, and what becomes of it."""

from tests.make.quirks.broken import ENCODING_ROWS, HOSTILE_ROWS
from tests.make.quirks.contrast import CONTRAST_ROWS
from tests.make.quirks.person import PERSON_ROWS
from tests.make.quirks.place import GEOMETRY_ROWS, PLACE_ROWS
from tests.make.quirks.sorting import SORTING_ROWS

QUIRKS = (
    *SORTING_ROWS,
    *CONTRAST_ROWS,
    *PLACE_ROWS,
    *GEOMETRY_ROWS,
    *PERSON_ROWS,
    *ENCODING_ROWS,
    *HOSTILE_ROWS,
)
