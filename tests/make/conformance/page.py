"""The page: the template with its tables put in."""

import re
from pathlib import Path
from typing import Final

from tests.make.conformance.attributes import attributes_table
from tests.make.conformance.tables import TABLES

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "reference" / "dicom-conformance.md"
TEMPLATE: Final = Path(__file__).with_name("template.md")
MARK: Final = re.compile(r"^<!-- table: ([a-z-]+) -->$", re.MULTILINE)
FIRST_LINE: Final = "<!-- `make docs` makes this of tests/make/conformance/template.md and the code. -->\n"


def told() -> str:
    """The whole page. Raises KeyError for a mark that names no table."""
    tables = {**TABLES, "attributes": attributes_table}
    template = TEMPLATE.read_text("utf-8")
    unused = set(tables) - set(MARK.findall(template))
    if unused:
        raise KeyError(f"tables that the template does not show: {sorted(unused)}")
    return FIRST_LINE + MARK.sub(lambda found: tables[found[1]](), template)
