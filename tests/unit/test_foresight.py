"""What is known of a drawing without its truth: certainty, shape, and the Dice they predict."""

import numpy as np
import pytest

from service.core.certainty import MEASURES, slice_certainty
from service.core.compartment import Compartment
from service.core.predictor import FARTHEST, FEATURES, Evidence, Predictor, gather
from service.core.quality import check_compartment
from service.core.shape import DESCRIPTORS, ShapeStatistics, describe
from service.inference.learned import read_predictor
from tests.make.facts import grid

L, R = int(Compartment.LEFT), int(Compartment.RIGHT)
USUAL_SHAPE = ShapeStatistics(mean=np.zeros(len(DESCRIPTORS)), covariance=np.eye(len(DESCRIPTORS)))


def pair(slices=1, width=20):
    """Two rectangles of 20 rows, 10 columns apart; column 0 is the patient's right."""
    labels = np.zeros((slices, 40, 60), np.uint8)
    labels[:, 10:30, 25 - width : 25] = R
    labels[:, 10:30, 35:55] = L
    return labels


def sides(labels, probability=1.0):
    """What a network answers that is as sure as said of one slice, (sides, rows, columns)."""
    return np.stack([labels == L, labels == R]).astype(np.float32) * np.float32(probability)


def measured(answers, threshold=0.5):
    found = slice_certainty(np.asarray(answers, np.float32), threshold, 1.5)
    return dict(zip(MEASURES, found.tolist(), strict=True))


def named(labels, spacing=(1.0, 1.0)):
    return dict(zip(DESCRIPTORS, describe(labels, spacing), strict=True))


# --- certainty


def test_a_network_without_any_doubt_promises_the_area_that_it_draws():
    answer = sides(pair()[0])
    found = measured([answer, answer])
    assert found.pop("muscle_mm2") == 800 * 1.5
    assert set(found.values()) == {0.0}


def test_a_slice_without_hope_of_muscle_counts_nothing_and_is_as_bad_as_can_be():
    found = measured(np.full((2, 2, 8, 8), 0.001))
    assert found.pop("muscle_mm2") == 0.0
    assert set(found.values()) == {1.0}


def test_the_measures_of_one_faint_pixel():
    answer = np.zeros((1, 2, 3, 3))
    answer[0, :, 1, 1] = (0.45, 0.15)
    found = measured(answer)
    assert found["muscle_mm2"] == pytest.approx(0.9)
    assert found["soft_loss"] == pytest.approx(1 - 2 * 0.6 / (0.6 + 1))
    assert found["threshold_spread"] == 1.0  # 1 pixel at 0.3, none at 0.7
    assert found["faint_core"] == pytest.approx(0.4)
    assert found["stray"] == pytest.approx(0.0, abs=1e-6)
    assert found["side_doubt"] == pytest.approx(2 * 0.15 / 0.6)
    assert found["mirror_difference"] == 0.0


def test_where_nothing_passes_the_threshold_there_is_no_core_to_be_sure_of():
    found = measured(sides(pair()[0], 0.4)[np.newaxis])
    assert (found["soft_loss"], found["faint_core"], found["side_doubt"]) == (1.0, 1.0, 1.0)
    assert found["stray"] == 1.0


def test_answers_that_contradict_each_other_differ_wholly():
    answer = sides(pair()[0])
    found = measured([answer, answer[::-1]])
    assert found["mirror_difference"] == pytest.approx(1.0)
    assert found["side_doubt"] == pytest.approx(1.0)


# --- shape


def test_the_shape_of_two_equal_squares():
    found = named(pair()[0])
    spread = 20 / np.sqrt(12)
    assert found["log_area_ratio"] == 0.0
    assert found["separation"] == pytest.approx(30 / spread)
    assert found["height_offset"] == 0.0
    assert found["log_aspect"] == pytest.approx(np.log(np.sqrt(spread**2 + 15**2) / spread))
    assert found["fullness_left"] == pytest.approx(3 / np.pi)
    assert found["log_elongation_left"] == pytest.approx(0.0, abs=1e-9)
    assert found["tilt_left"] == found["tilt_right"] == 0.0


def test_the_shape_does_not_depend_on_the_size_of_the_pixels():
    assert describe(pair()[0], (0.7, 0.7)) == pytest.approx(describe(pair()[0], (1.4, 1.4)))


def test_the_mirrored_pair_has_the_mirrored_shape():
    labels = pair(width=12)[0]
    labels[22:30, 35:40] = 0
    mirrored = np.array([0, R, L], np.uint8)[labels[:, ::-1]]
    one, other = named(labels), named(mirrored)
    assert one["log_area_ratio"] == pytest.approx(-other["log_area_ratio"])
    assert one["height_offset"] == pytest.approx(-other["height_offset"])
    for name in ("log_elongation", "fullness", "tilt"):
        assert one[f"{name}_left"] == pytest.approx(other[f"{name}_right"])
        assert one[f"{name}_right"] == pytest.approx(other[f"{name}_left"])
    assert one["tilt_left"] != 0


def test_without_both_sides_there_is_no_shape():
    assert describe(np.where(pair()[0] == L, L, 0).astype(np.uint8), (1.0, 1.0)) is None
    few = pair()[0]
    few[11:, 35:] = 0
    few[:, 45:] = 0  # 10 pixels of the left side are left
    assert describe(few, (1.0, 1.0)) is None


def test_the_distance_counts_in_deviations_a_descriptor():
    away = np.zeros(len(DESCRIPTORS))
    assert USUAL_SHAPE.distance(away) == 0.0
    away[0] = 3.0
    assert USUAL_SHAPE.distance(away) == pytest.approx(3 / np.sqrt(len(DESCRIPTORS)))


# --- evidence


def seen(labels, cleaned=None, **grid_changes):
    """The evidence of a drawing of which the network had no doubt."""
    certainty = np.zeros((len(labels), len(MEASURES)), np.float32)
    certainty[:, 0] = 100.0
    place = grid(
        offsets=tuple(5.0 * k for k in range(len(labels))),
        rows=labels.shape[1],
        columns=labels.shape[2],
        spacing=(1.0, 1.0),
        **grid_changes,
    )
    return gather(certainty, labels, labels if cleaned is None else cleaned, place, USUAL_SHAPE)


def feature(evidence, name):
    return evidence.features[:, FEATURES.index(name)].tolist()


def test_what_the_cleaning_took_away_is_told_slice_by_slice():
    labels = pair(slices=3)
    cleaned = labels.copy()
    cleaned[1, :, 35:45] = 0  # a quarter of what was drawn
    labels[2], cleaned[2] = 0, 0
    assert feature(seen(labels, cleaned), "dropped") == [0.0, 0.25, 1.0]


def test_a_slice_without_a_pair_is_farthest_from_any_usual_shape():
    labels = pair(slices=2)
    labels[1] = 0
    near, far = feature(seen(labels), "shape_distance")
    assert near == pytest.approx(USUAL_SHAPE.distance(describe(labels[0], (1.0, 1.0))))
    assert far == FARTHEST


def test_the_evidence_is_the_same_however_the_stack_is_stored():
    labels = pair()
    labels[0, 22:30, 35:40] = 0
    straight = seen(labels)
    turned = seen(labels[:, ::-1, ::-1], column_direction=(-1, 0, 0), row_direction=(0, -1, 0))
    crossed = seen(labels.transpose(0, 2, 1), column_direction=(0, 1, 0), row_direction=(1, 0, 0))
    assert turned.features == pytest.approx(straight.features)
    assert crossed.features == pytest.approx(straight.features)


# --- prediction


def predictor(**changes):
    known = {
        "shape": USUAL_SHAPE,
        "intercept": 3.0,
        "coefficients": {"soft_loss": 4.0},
        "residual_sd": 0.5,
        "withhold_below": 0.8,
        "limits": {"side_doubt": 0.3},
    }
    return Predictor(**(known | changes))


def evidence(soft_loss, muscle_mm2, **others):
    features = np.zeros((len(soft_loss), len(FEATURES)))
    features[:, FEATURES.index("soft_loss")] = soft_loss
    for name, values in others.items():
        features[:, FEATURES.index(name)] = values
    return Evidence(features=features, muscle_mm2=np.array(muscle_mm2, float))


def logistic(value):
    return 1 / (1 + np.exp(-value))


def test_the_prediction_is_logistic_in_the_roots_and_counts_slices_by_their_muscle():
    outlook = predictor().outlook(evidence([0.25, 0.0], [300, 100]))
    assert outlook.dice == pytest.approx(0.75 * logistic(3 - 4 * 0.5) + 0.25 * logistic(3))
    low, high = outlook.interval
    centre = np.log(outlook.dice / (1 - outlook.dice))
    assert (low, high) == (
        pytest.approx(logistic(centre - 1.96 * 0.5)),
        pytest.approx(logistic(centre + 1.96 * 0.5)),
    )
    assert outlook.withhold_below == 0.8


def test_without_any_promised_muscle_all_slices_count_alike():
    outlook = predictor().outlook(evidence([1.0, 0.0], [0, 0]))
    assert outlook.dice == pytest.approx((logistic(-1) + logistic(3)) / 2)


def test_no_prediction_is_beyond_what_can_be_known():
    sure = predictor(intercept=50.0).outlook(evidence([0.0], [1]))
    hopeless = predictor(intercept=-50.0).outlook(evidence([0.0], [1]))
    assert (hopeless.dice, sure.dice) == (pytest.approx(0.01), pytest.approx(0.99))


def test_a_feature_beyond_its_limit_is_named_with_both_numbers():
    inside = predictor().outlook(evidence([0.0, 0.0], [1, 1], side_doubt=[0.6, 0.0]))
    assert inside.strange == ()
    beyond = predictor().outlook(evidence([0.0, 0.0], [3, 1], side_doubt=[0.6, 0.0]))
    assert beyond.strange == (("side_doubt", pytest.approx(0.45), 0.3),)


# --- checks


def checked(outlook, labels=None):
    labels = pair(slices=2) if labels is None else labels
    place = grid(offsets=(0.0, 5.0), rows=40, columns=60, spacing=(1.0, 1.0))
    return {check.check: check for check in check_compartment(labels, place, labels, None, outlook)}


def test_a_good_outlook_passes_and_says_its_number_interval_and_threshold():
    outlook = predictor().outlook(evidence([0.0], [1]))
    found = checked(outlook)
    assert found["looks_like_axial_spine"].passed
    check = found["predicted_dice"]
    assert check.passed
    assert check.predicted_dice == pytest.approx(0.953)
    assert check.predicted_dice_ci95 == (pytest.approx(0.883), pytest.approx(0.982))
    assert check.detail == "Predicted Dice 0.95 (95 % interval 0.88 to 0.98); at least 0.80 expected."


def test_a_low_prediction_and_a_strange_image_are_withheld():
    found = checked(predictor().outlook(evidence([1.0], [1], side_doubt=[0.9])))
    assert not found["predicted_dice"].passed
    assert not found["looks_like_axial_spine"].passed
    assert "side doubt 0.90 (at most 0.30)" in found["looks_like_axial_spine"].detail


def test_the_prediction_is_given_also_where_a_side_is_missing():
    labels = np.where(pair(slices=2) == L, L, 0).astype(np.uint8)
    found = checked(predictor().outlook(evidence([1.0], [1])), labels)
    assert not found["both_sides_found"].passed
    assert found["predicted_dice"].predicted_dice == pytest.approx(0.269)


def test_without_a_predictor_nothing_is_predicted_and_nothing_withheld_for_it():
    found = checked(None)
    assert found["predicted_dice"].passed
    assert found["predicted_dice"].predicted_dice is None
    assert "looks_like_axial_spine" not in found


# --- the card


def table(**changes):
    count = len(DESCRIPTORS)
    shape = {"descriptors": list(DESCRIPTORS), "mean": [0.0] * count, "covariance": np.eye(count).tolist()}
    content = {
        "learned_on": "abc",
        "intercept": 3.0,
        "residual_sd": 0.5,
        "withhold_below": 0.8,
        "coefficients": {"soft_loss": 4},
        "limits": {"side_doubt": 0.3},
        "shape": shape | changes.pop("shape", {}),
    }
    return {"predictor": content | changes}


def test_the_card_s_table_is_read_as_it_stands():
    read = read_predictor(table(), "abc")
    assert read.outlook(evidence([0.25], [1])) == predictor().outlook(evidence([0.25], [1]))
    assert read.shape.distance(np.ones(len(DESCRIPTORS))) == pytest.approx(1.0)


def test_a_card_may_have_no_predictor():
    assert read_predictor({"repeatability": "not measured"}, "abc") is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"learned_on": "abd"}, "other weights"),
        ({"coefficients": {"softloss": 1.0}}, "softloss"),
        ({"limits": {"age": 1.0}}, "age"),
        ({"coefficients": {"soft_loss": -1.0}}, "soft_loss"),
        ({"residual_sd": float("nan")}, "residual_sd"),
        ({"withhold_below": float("inf")}, "withhold_below"),
        ({"shape": {"descriptors": ["width"]}}, "descriptors"),
        ({"shape": {"mean": [0.0]}}, "size"),
        ({"shape": {"covariance": np.zeros((len(DESCRIPTORS),) * 2).tolist()}}, "covariance"),
        ({"shape": {"covariance": np.triu(np.ones((len(DESCRIPTORS),) * 2)).tolist()}}, "covariance"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        read_predictor(table(**changes), "abc")
