"""Hours in which past studies may be fetched."""

from datetime import time

import pytest

from service.core.offpeak import parse_window
from service.core.retrieval import Found
from service.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "clock", "open_"),
    [
        ("20:00-06:00", time(20, 0), True),
        ("20:00-06:00", time(23, 59), True),
        ("20:00-06:00", time(0, 0), True),
        ("20:00-06:00", time(5, 59, 59), True),
        ("20:00-06:00", time(6, 0), False),
        ("20:00-06:00", time(12, 0), False),
        ("1:30-5:00", time(1, 30), True),
        ("1:30-5:00", time(5, 0), False),
        ("1:30-5:00", time(23, 0), False),
        ("00:00-00:00", time(12, 0), True),
    ],
)
def test_a_window_is_open_from_its_beginning_until_its_end(text, clock, open_):
    assert parse_window(text).contains(clock) is open_


@pytest.mark.parametrize("text", ["", "20-6", "24:00-06:00", "20:60-06:00", "at night"])
def test_what_is_no_window_is_told(text):
    with pytest.raises(ConfigurationError):
        parse_window(text)


def test_a_study_without_modalities_may_hold_mr():
    assert Found(study_uid="1").may_hold_mr
    assert Found(study_uid="1", modalities=("PR", "MR")).may_hold_mr
    assert not Found(study_uid="1", modalities=("CT",)).may_hold_mr
