"""Result files, read below HOME only, whatever stands in the database."""

import hashlib
from http import HTTPStatus
from pathlib import Path

from service.core.status import OutputKind
from service.db.shapes import AnalysisDetail, OutputFacts
from service.files import within
from service.web.codes import PICTURES
from service.web.context import Web
from service.web.problems import Problem, not_found

REPORT = "report.pdf"


def output_kind(text: str) -> OutputKind:
    """The kind of object that a URL names in lower case."""
    try:
        return OutputKind(text.upper())
    except ValueError:
        raise not_found("kind of output") from None


def read_output(web: Web, output: OutputFacts) -> bytes:
    """The bytes of one object, which must be the ones that were made."""
    path = _below_home(web, output.path)
    if path is None:
        raise Problem(HTTPStatus.GONE, "output_missing", "The file of this output is not there any more.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != output.sha256:
        raise Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "output_changed", "The file is not the one that was made."
        )
    return content


def result_file(web: Web, detail: AnalysisDetail, name: str) -> Path | None:
    """One file of a result folder, or None."""
    if not detail.result_path:
        return None
    return _below_home(web, f"{detail.result_path}/{name}")


def pictures(web: Web, detail: AnalysisDetail) -> dict[str, str]:
    """The pictures that there are, with their titles."""
    return {name: title for name, title in PICTURES.items() if result_file(web, detail, name)}


def _below_home(web: Web, relative: str) -> Path | None:
    """The file of that path below HOME, or None."""
    try:
        path = within(web.settings.home, relative)
    except ValueError:
        return None
    return path if path.is_file() else None
