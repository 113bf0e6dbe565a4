"""PixelMed's validator over every kind of report; each takes it about ten seconds."""

import pytest

from tests.make.pixelmed import pixelmed
from tests.make.results import IDENTITY, not_assessable, world, write_objects, write_sr


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    made = world(tmp_path_factory.mktemp("series"))
    folder = tmp_path_factory.mktemp("objects")
    objects = write_objects(made, folder)
    how = {"segs": [], "others": [], "identity": IDENTITY}
    told = not_assessable(made.mask)
    usual = write_sr(made.stack, told, path=folder / "withheld.dcm", **how)
    planar = write_sr(made.stack, told, path=folder / "withheld_planar.dcm", form="planar", **how)
    return {
        "measured": objects.sr,
        "measured, planar": objects.planar,
        "withheld": usual,
        "withheld, planar": planar,
        "withdrawn": objects.withdrawal,
    }


@pytest.mark.parametrize(
    "kind", ["measured", "measured, planar", "withheld", "withheld, planar", "withdrawn"]
)
def test_pixelmed_finds_nothing_but_its_known_false_positives(reports, kind):
    assert pixelmed(reports[kind].path) == []
