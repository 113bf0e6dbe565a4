"""Which report a new one takes the place of."""

from dataclasses import replace

import pytest

from service.pipeline.job import JobReport, Past, made_by
from tests.make.results import finding
from tests.unit.test_pictures import a_mask

FOUND = finding(a_mask())


def report(digest, uid, found=FOUND):
    return JobReport(input_digest=digest, made_by=made_by(found.as_dict()), report_uids={"en": uid})


def superseded(*reports, found=FOUND):
    return Past(input_digest="d2", reports=reports).superseded(found.as_dict())


def test_a_report_of_other_images_is_superseded():
    assert superseded(report("d1", "1.2")) == {"en": "1.2"}
    assert superseded() == {}


def test_a_rerun_that_is_made_alike_repeats_what_the_earlier_run_said():
    assert superseded(report("d2", "1.3"), report("d1", "1.2")) == {"en": "1.2"}
    assert superseded(report("d2", "1.3")) == {}


@pytest.mark.parametrize(
    "other",
    [
        replace(FOUND, policy="other@9"),
        replace(FOUND, norms=("other@1 (local)",)),
        replace(FOUND, software="myoscreen 9"),
        replace(FOUND, model=replace(FOUND.model, sha256="e" * 64)),
        replace(FOUND, definition=replace(FOUND.definition, version="99")),
    ],
)
def test_a_report_of_the_same_images_that_was_made_otherwise_is_superseded(other):
    assert superseded(report("d2", "1.3", other), report("d1", "1.2")) == {"en": "1.3"}


def test_the_fat_method_that_came_out_makes_no_other_report():
    other = replace(FOUND, definition=replace(FOUND.definition, fat_method=None))
    assert superseded(report("d2", "1.3", other)) == {}
