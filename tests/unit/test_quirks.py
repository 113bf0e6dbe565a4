"""Every oddity of the table ends in its stated outcome."""

from pathlib import Path

import pytest

from service.dicom.series import scan
from service.inference.card import Card, read_card
from service.pipeline.references import bundled_models_dir
from tests.make.quirks import QUIRKS
from tests.make.quirks.quirk import Quirk, fact, outcomes
from tests.make.quirks.told import BEGIN, told


@pytest.fixture(scope="module")
def card() -> Card:
    return read_card(bundled_models_dir() / "paraspinal")


@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.text)
def test_an_oddity_ends_in_its_outcome(quirk: Quirk, card: Card, tmp_path: Path) -> None:
    found = scan(quirk.make(tmp_path / "in"))
    assert outcomes(found, card, pixels=quirk.pixels) == (quirk.sets, quirk.files)
    read = {name: fact(found.stacks[0], name) for name in quirk.facts}
    assert read == {name: pytest.approx(value) for name, value in quirk.facts.items()}


def test_the_page_tells_the_table() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "inputs.md").read_text("utf-8")
    assert page.partition(BEGIN)[2].strip() == told().strip(), "python -m tests.make.quirks writes it"
    assert len({quirk.text for quirk in QUIRKS}) == len(QUIRKS) >= 60
