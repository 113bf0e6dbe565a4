"""A link to the study in the hospital's own viewer, by the pattern of the settings."""

from urllib.parse import quote

from service.db.shapes import AnalysisDetail
from service.settings import VIEWER_FIELD


def viewer_link(pattern: str | None, detail: AnalysisDetail) -> str | None:
    """The address of a study in the viewer; None without a pattern, or where what it asks for is missing.

    What images said is percent-encoded to the last character, so it can be nothing but a value.
    """
    if pattern is None:
        return None
    values = {
        "study_uid": detail.study_uid,
        "series_uid": detail.inputs[0].series_uid if detail.inputs else "",
        "accession_number": detail.patient.accession_number,
    }
    if not all(values[name] for name in VIEWER_FIELD.findall(pattern)):
        return None
    return VIEWER_FIELD.sub(lambda found: quote(values[found[1]], safe=""), pattern)
