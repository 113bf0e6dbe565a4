"""The spread of repeated measurements: from the network's card into the intervals of a finding."""

from dataclasses import replace

import numpy as np
import pytest

from service.core import scoring, water_fat
from service.core.norms import Repeatability
from service.core.risk import Policy
from service.inference.card import read_card
from service.pipeline.references import bundled_models_dir
from tests.make.facts import DEFINITION, facts
from tests.make.facts import mask as made_mask
from tests.make.results import measures_of

SHIPPED = bundled_models_dir() / "paraspinal"
REPEATS = Repeatability(imat_fraction_sd=0.01, lmm_cv=0.02)


POLICY = Policy(id="p", version="1", rules=(), quadrant_measures=("imat_fraction", "lmm_height_index_ml_m2"))


def scorables(of, definition=DEFINITION):
    labels = np.ones((2, 4, 4), np.uint8)
    labels[:, 2:, 2:] = 3
    found = replace(measures_of(made_mask(labels)), lmm_height_index_ml_m2=100.0)
    yardsticks = scoring.Yardsticks(norms=(), policy=POLICY, repeatability=of)
    repeats = scoring._repeats(yardsticks, definition, facts())
    return {s.measure: s for s, _ in scoring._scorables(found, facts(), definition, repeats)}


def card_text(quality):
    """The shipped card with another part on quality."""
    text = (SHIPPED / "card.toml").read_text("utf-8")
    return text[: text.index("\n[quality]\n")] + f"\n[quality]\n{quality}\n"


def test_a_card_gives_the_repeatability_of_each_contrast(tmp_path):
    quality = "[quality.repeatability.t1]\nimat_fraction_sd = 0.01\nlmm_cv = 0.02"
    (tmp_path / "card.toml").write_text(card_text(quality), "utf-8")
    assert read_card(tmp_path).repeatability == {"t1": REPEATS}


def test_a_sentence_in_its_place_is_no_repeatability(tmp_path):
    (tmp_path / "card.toml").write_text(card_text('repeatability = "not measured"'), "utf-8")
    assert read_card(tmp_path).repeatability == {}


def test_share_and_lean_volume_carry_their_own_spread():
    found = scorables({"t2_tse": REPEATS})
    assert found["imat_fraction"].repeat_sd == 0.01
    assert found["lmm_height_index_ml_m2"].repeat_sd == pytest.approx(2.0)


def test_what_was_not_repeated_has_no_interval():
    of_another = scorables({"t1": REPEATS})
    dixon = replace(DEFINITION, fat_method=water_fat.METHOD)
    of_a_pair = scorables({"t2_tse": REPEATS}, dixon)
    for found in (of_another, of_a_pair):
        assert {s.ci95 for s in found.values()} == {None}
