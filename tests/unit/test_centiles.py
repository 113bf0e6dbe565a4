"""The centiles of a table are drawn behind results that it could score as they are, and behind no others."""

from dataclasses import replace

import pytest

from service.core.centiles import reference, why_not
from service.core.extract import Family
from service.core.normtable import HeightModel
from service.pipeline.references import bundled_models_dir, read_norms

(TABLE,) = read_norms(bundled_models_dir(), ("provisional-fsf",))
FAMILY = Family(
    definition=TABLE.definitions[0],
    network="paraspinal@1",
    boundary_rule="fascia",
    fat_method="dixon_fat_fraction",
    contrast="water",
    region="lumbar",
    coverage_from_mm=150,
)
HEIGHT = HeightModel(exponent=1.0, reference_m=1.7)


@pytest.mark.parametrize(
    ("table", "family", "code"),
    [
        ({}, {}, None),
        ({"coverage_mm": None, "phantom_only": True}, {"coverage_from_mm": 900}, "phantom_only"),
        ({}, {"definition": "other@1"}, "other_definition"),
        ({"networks": ("x",)}, {}, "other_network"),
        ({"networks": ("paraspinal@1",)}, {}, None),
        ({}, {"fat_method": ""}, "other_fat_method"),
        ({"fat_methods": ()}, {"fat_method": ""}, None),
        ({}, {"contrast": "t1"}, "other_contrast"),
        ({}, {"region": "unknown"}, "other_region"),
        # The table is of 80 to 250 mm: 50 to 100 is not all in it, 200 to 250 is.
        ({}, {"coverage_from_mm": 50}, "other_coverage"),
        ({}, {"coverage_from_mm": 250}, "other_coverage"),
        ({}, {"coverage_from_mm": 200}, None),
        ({"height": HEIGHT}, {}, "adjusts_values"),
        ({"scanner_shifts": {"A": 0.1}}, {}, "adjusts_values"),
    ],
)
def test_a_table_is_drawn_only_where_it_applies(table, family, code):
    assert why_not(replace(TABLE, **table), replace(FAMILY, **family)) == code


def test_the_first_table_that_applies_is_drawn_by_sex():
    found, misfits = reference((TABLE,), "fat_signal_fraction", FAMILY)
    assert misfits == ()
    assert (found.norm, found.status) == ("provisional-fsf@2", "provisional")
    women = next(curve for curve in found.curves if curve.sex == "F")
    assert (women.ages_years[0], women.values[2][0]) == (20.0, pytest.approx(0.132))
    # Log-normal: the 95th centile lies exp(1.645 * 0.33) above the median.
    assert women.values[4][0] == pytest.approx(0.132 * 1.7208, rel=1e-3)


def test_where_none_applies_each_says_why():
    assert reference((TABLE,), "imat_fraction", FAMILY) == (None, ())
    other = replace(FAMILY, contrast="t1")
    assert reference((TABLE,), "fat_signal_fraction", other) == (
        None,
        (("provisional-fsf@2", "other_contrast"),),
    )
