"""Stored findings are read back, scored by the one way, and compared number by number."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from service.core import water_fat
from service.core.blocks import of_block
from service.core.change import read_earlier
from service.core.finding import Finding
from service.core.norms import Repeatability
from service.core.plain import from_plain
from service.core.risk import Policy
from service.core.sameness import MEASURED, compare_findings, same_yardsticks
from service.core.scoring import Yardsticks, score_measures
from service.core.series import Role
from service.dicom.drawn import differing_voxels
from service.inference.device import device_kind
from tests.make.facts import facts, norm
from tests.make.results import finding
from tests.unit.test_pictures import a_mask

FOUND = finding(a_mask())
PLAIN = json.loads(json.dumps(FOUND.as_dict()))
POLICY = Policy(id="p", version="1", rules=(), quadrant_measures=("imat_fraction", "lmm_height_index_ml_m2"))
YARDSTICKS = Yardsticks(
    norms=(),
    policy=POLICY,
    repeatability={"t2_tse": Repeatability(imat_fraction_sd=0.01, lmm_cv=0.02)},
)


@dataclass(frozen=True, kw_only=True)
class Mixed:
    when: datetime
    role: Role
    pair: tuple[float, str]
    maybe: float | None = None


MIXED = {"when": "2026-03-01T00:00:00+00:00", "role": "water", "pair": [1, "a"]}


def test_a_finding_comes_back_as_it_was_written():
    assert from_plain(Finding, PLAIN) == FOUND


def test_times_roles_and_whole_numbers_come_back_as_what_they_are():
    read = from_plain(Mixed, MIXED)
    assert read == Mixed(when=datetime(2026, 3, 1, tzinfo=UTC), role=Role.WATER, pair=(1.0, "a"))
    assert isinstance(read.pair[0], float)
    assert from_plain(Mixed, {**MIXED, "maybe": 2.5}).maybe == 2.5


@pytest.mark.parametrize(
    "broken",
    [
        {**PLAIN, "later_field": 1},
        {name: value for name, value in PLAIN.items() if name != "status"},
        {**PLAIN, "status": "excellent"},
        {**PLAIN, "software": 7},
        {**PLAIN, "norms": "none"},
        {**PLAIN, "measures": [1]},
    ],
    ids=["strange", "missing", "literal", "kind", "list", "object"],
)
def test_what_is_not_of_the_shape_is_refused_and_never_lost(broken):
    with pytest.raises(ValueError, match=r"."):
        from_plain(Finding, broken)


def test_scores_are_of_what_the_finding_says_and_not_of_the_headers():
    table = norm(
        contrasts=("t2_tse",),
        definitions=("label-share@3",),
        networks=("paraspinal",),
        coverage_mm=(1.0, 999.0),
    )
    strange = facts(contrast="t1", region="cervical")
    scored = score_measures(FOUND, strange, replace(YARDSTICKS, norms=(table,)))
    assert scored.scores[0].state == "scored"
    assert scored.norms == (f"{table.reference} ({table.status})",)
    assert scored.policy == "p@1"
    nothing = score_measures(replace(FOUND, series=None), strange, replace(YARDSTICKS, norms=(table,)))
    assert nothing.scores[0].state == "no_norm"


def test_repeatability_widens_a_value_but_not_that_of_a_pair():
    (share, index) = score_measures(FOUND, facts(), YARDSTICKS).scores[:2]
    assert share.value_ci95 is not None
    assert index.measure == "lmm_height_index_ml_m2"
    pair = replace(FOUND, definition=replace(FOUND.definition, fat_method=water_fat.METHOD))
    assert score_measures(pair, facts(), YARDSTICKS).scores[0].value_ci95 is None


def test_a_signal_fat_fraction_is_scored_by_its_own_definition_also_of_a_block():
    total = replace(FOUND.measures.total, fat_signal_fraction=0.2)
    pair = replace(FOUND, measures=replace(FOUND.measures, total=total))
    assert [score.measure for score in score_measures(pair, facts(), YARDSTICKS).scores] == [
        "imat_fraction",
        "lmm_height_index_ml_m2",
        "fat_signal_fraction",
    ]
    block = replace(pair, definition=of_block(pair.definition))
    block = replace(block, measures=replace(block.measures, lmm_height_index_ml_m2=None))
    (_, index, signal) = score_measures(block, facts(), YARDSTICKS).scores
    assert "no volume" in index.reason
    assert "definition of its own" in signal.reason


def test_without_measures_there_is_nothing_to_score():
    withheld = score_measures(replace(FOUND, measures=None), facts(), YARDSTICKS)
    assert (withheld.scores, withheld.flags, withheld.quadrant, withheld.change) == ((), (), None, None)


def test_the_newest_finding_that_is_alike_is_the_one_compared_with():
    now = replace(FOUND, series=replace(FOUND.series, scanner="A 1.5 T"))
    other = replace(now, series=replace(now.series, scanner="B 3 T"))
    before = [read_earlier(other.as_dict(), days=10), read_earlier(now.as_dict(), days=20)]
    assert score_measures(now, facts(), YARDSTICKS, before=before).change.days == 20
    bare = replace(YARDSTICKS, repeatability={})
    assert score_measures(now, facts(), bare, before=before[:1]).change is None


def test_one_changed_number_is_found_with_its_place_and_its_size():
    same = compare_findings(PLAIN, json.loads(json.dumps(PLAIN)), MEASURED)
    assert (same.same, same.differing, same.largest) == (True, 0, None)
    changed = json.loads(json.dumps(PLAIN))
    changed["measures"]["left"]["imat_ml"] += 0.5
    changed["measures"]["right"]["imat_ml"] += 1e-12
    found = compare_findings(PLAIN, changed, MEASURED)
    assert (found.same, found.differing, found.largest_at) == (False, 2, "measures.left.imat_ml")
    assert found.largest == pytest.approx(0.5)
    assert found.numbers == same.numbers


def test_a_number_that_is_not_there_and_a_changed_word_differ_too():
    changed = json.loads(json.dumps(PLAIN))
    changed["measures"]["left"]["imat_ml"] = None
    changed["status"] = "not_assessable"
    changed["reasons"] = [{"code": "x", "text": "y"}]
    found = compare_findings(PLAIN, changed, MEASURED)
    assert (found.differing, found.largest_at) == (1, None)
    assert set(found.others) == {"status", "reasons", "reasons[0].code", "reasons[0].text"}


def test_scores_are_comparable_only_against_the_very_same_tables():
    assert same_yardsticks(PLAIN, PLAIN)
    changed = json.loads(json.dumps(PLAIN))
    scored = next(score for score in changed["scores"] if score["norm_facts"])
    scored["norm_facts"]["sha256"] = "0" * 64
    assert not same_yardsticks(PLAIN, changed)
    assert not same_yardsticks(PLAIN, {**PLAIN, "policy": "other@1"})


def test_voxels_that_differ_are_counted_once_and_for_each_label():
    one = np.array([[0, 1], [3, 2]], np.uint8)
    other = np.array([[0, 3], [3, 2]], np.uint8)
    place, elsewhere = ("1.2", None), ("1.3", 2)
    assert differing_voxels({place: one}, {place: one.copy()}) == (0, {})
    assert differing_voxels({place: one}, {place: other}) == (1, {"lean_left": 1, "imat_left": 1})
    assert differing_voxels({place: one}, {}) == (3, {"lean_left": 1, "lean_right": 1, "imat_left": 1})
    total, _ = differing_voxels({place: one}, {place: other[:1], elsewhere: other})
    assert total == 3 + 1 + 3


def test_the_kind_of_device_is_the_one_that_the_system_names(tmp_path):
    cpu = tmp_path / "cpuinfo"
    cpu.write_text("vendor_id : X\nmodel name\t: Example 9000\nmodel name\t: Example 9000\n")
    cards = tmp_path / "gpus"
    for name in ("0", "1"):
        (cards / name).mkdir(parents=True)
        (cards / name / "information").write_text("Model: \t\t Example GPU\nIRQ: 1\n")
    where = SimpleNamespace(cpu_info=cpu, gpus=cards)
    assert device_kind("CPUExecutionProvider", **vars(where)) == "Example 9000"
    assert device_kind("CUDAExecutionProvider", **vars(where)) == "Example GPU"
    assert device_kind("CUDAExecutionProvider", cpu_info=cpu, gpus=tmp_path / "none") == "unknown"
    assert device_kind("CPUExecutionProvider", cpu_info=tmp_path / "none") != ""


def test_two_processors_of_one_name_with_other_instructions_are_two_kinds(tmp_path):
    def kind(line):
        path = tmp_path / "cpuinfo"
        path.write_text(f"model name\t: Virtual CPU\n{line}\n", "utf-8")
        return device_kind("CPUExecutionProvider", cpu_info=path)

    assert kind("flags\t\t: fpu sse avx fma avx2") == "Virtual CPU (avx fma avx2)"
    assert kind("flags\t\t: fpu sse avx fma avx2 avx512f") == "Virtual CPU (avx fma avx2 avx512f)"
    assert kind("Features\t: fp asimd sve") == "Virtual CPU (asimd sve)"
