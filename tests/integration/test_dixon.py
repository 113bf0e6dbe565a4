"""A water and a fat image of one acquisition are one input set, and its fat fraction decides."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import highdicom
import numpy as np
import pydicom
import pytest

from service.core.dixon import find_input_sets
from service.core.series import Role
from service.dicom.series import read_volume, scan
from service.errors import UnreadableSeries
from service.pipeline import batch
from service.pipeline.analyse import _mask_digest
from service.pipeline.inputs import inputs_section, newest_time, pair_check, read_images, why_not_eligible
from tests.make import network
from tests.make.data import data_dir
from tests.make.dixon import write_dixon
from tests.make.series import enhanced_mr
from tests.make.tum01 import write_tum01

ALL = ("in_phase", "opposed", "water", "fat")
real_data = pytest.mark.skipif(data_dir() is None, reason="no real data (MYOSCREEN_TEST_DATA)")


@pytest.fixture(scope="module")
def workshop():
    """The shipped network, loaded once."""
    return network.workshop()


def analyse(folder: Path, out: Path, workshop):
    """Everything below a folder; the outcomes, and the finding of the first result."""
    outcomes = batch.analyse_paths([folder], out, lambda: workshop)
    return outcomes, json.loads((out / "finding.json").read_text("utf-8"))


def codes(outcomes):
    return Counter(reason.code for outcome in outcomes for reason in outcome.reasons)


@pytest.fixture(scope="module")
def measured(tmp_path_factory, workshop):
    """Four series of one acquisition, analysed once."""
    folder = tmp_path_factory.mktemp("dixon")
    written = write_dixon(folder / "in", ALL)
    return written, folder / "out", *analyse(folder / "in", folder / "out", workshop)


def test_four_series_of_one_acquisition_give_one_result(measured):
    _written, _out, outcomes, found = measured
    assert sorted(outcome.status for outcome in outcomes) == ["measured", "not_eligible", "not_eligible"]
    assert codes(outcomes) == {"part_of_dixon_set": 2}
    assert [item["role"] for item in found["series"]["inputs"]] == ["water", "fat"]
    assert found["series"]["contrast"] == "water"
    assert found["definition"]["fat_method"] == "dixon_fat_fraction"
    checks = {check["check"]: check for check in found["quality"]}
    assert checks["dixon_pair"]["detail"].startswith(
        "Water and fat image of one acquisition: same acquisition time"
    )
    assert checks["water_fat_swap"]["passed"]


def labels_of(seg_path, files):
    """The label map of a SEG in the order of the files' slices."""
    seg = highdicom.seg.segread(seg_path)
    uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in files]
    return seg.get_pixels_by_source_instance(
        uids, combine_segments=True, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )


def pixels(files):
    return np.stack([pydicom.dcmread(path).pixel_array for path in files]).astype(float)


def test_imat_is_exactly_what_is_more_than_half_fat_inside_the_compartment(measured):
    written, out, _outcomes, found = measured
    labels = labels_of(out / "seg.dcm", written["water"])
    water, fat = pixels(written["water"]), pixels(written["fat"])
    inside = labels > 0
    assert inside.any()
    assert np.array_equal(np.isin(labels, (3, 4)), inside & (fat > water))
    for side, own in (("left", (1, 3)), ("right", (2, 4)), ("total", (1, 2, 3, 4))):
        mine = np.isin(labels, own)
        share = fat[mine].sum() / (fat + water)[mine].sum()
        assert found["measures"][side]["fat_signal_fraction"] == pytest.approx(share, rel=1e-5)
        imat = (np.isin(labels, (3, 4)) & mine).sum() / mine.sum()
        assert found["measures"][side]["imat_fraction"] == pytest.approx(imat, rel=1e-9)


def test_the_signal_fat_fraction_has_a_provisional_score_and_no_flag(measured):
    _written, _out, _outcomes, found = measured
    (score,) = [score for score in found["scores"] if score["measure"] == "fat_signal_fraction"]
    assert (score["state"], score["norm"], score["norm_status"]) == (
        "scored",
        "provisional-fsf@2",
        "provisional",
    )
    assert score["z"] is not None
    states = {flag["code"]: flag["state"] for flag in found["flags"]}
    assert set(states) == {"imat_high", "fsf_high", "lmm_low"}
    assert states["fsf_high"] in {"indeterminate", "not_raised"}


def test_seg_lies_on_the_water_image_and_the_report_names_both_series(measured):
    written, out, _outcomes, found = measured
    water, fat = (pydicom.dcmread(written[part][0], stop_before_pixels=True) for part in ("water", "fat"))
    seg = pydicom.dcmread(out / "seg.dcm", stop_before_pixels=True)
    assert [item.SeriesInstanceUID for item in seg.ReferencedSeriesSequence] == [water.SeriesInstanceUID]
    report = pydicom.dcmread(out / "sr.dcm")
    cited = {
        series.SeriesInstanceUID: len(series.ReferencedSOPSequence)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
    }
    assert (cited[water.SeriesInstanceUID], cited[fat.SeriesInstanceUID]) == (5, 5)
    said = " ".join(item.TextValue for item in walk(report) if item.get("ValueType") == "TEXT")
    assert "Measured on Dixon water and fat" in said
    assert "Water and fat image of one acquisition" in said
    values = [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in walk(report)
        if item.get("ValueType") == "NUM" and item.ConceptNameCodeSequence[0].CodeValue == "129100"
    ]
    total = found["measures"]["total"]["fat_signal_fraction"]
    assert values[-1] == pytest.approx(100 * total, abs=1e-4)
    assert len(values) == 3


def walk(item):
    """Every content item below."""
    for child in item.get("ContentSequence", ()):
        yield child
        yield from walk(child)


def test_a_second_run_gives_the_same_bytes_and_a_result_is_known_by_both_images(measured, workshop, tmp_path):
    written, out, _outcomes, _found = measured
    folder = written["water"][0].parents[1]
    analyse(folder, tmp_path, workshop)
    for name in ("seg.dcm", "sr.dcm", "finding.json"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name
    pair = next(each for each in sets_below(folder) if each.fat is not None)
    assert batch._is_done(pair, out, workshop)
    assert not batch._is_done(*find_input_sets([pair.first]), out, workshop)


def test_a_card_that_draws_otherwise_makes_other_objects(workshop, tmp_path):
    """The same identity must never stand over other bytes, though the weights are the same file."""
    write_dixon(tmp_path / "in", rows=32, columns=32)
    (pair,) = sets_below(tmp_path / "in")
    card = workshop.card
    cards = [
        card,
        replace(card, version="99"),
        replace(card, dixon_segment_on="in_phase"),
        replace(card, output=replace(card.output, threshold=0.99)),
        replace(card, input=replace(card.input, tta="none")),
        replace(card, fat_methods={}),
        replace(card, fat_reference=replace(card.fat_reference, band_mm=(1.0, 2.0))),
    ]
    at = datetime(2026, 1, 1, tzinfo=UTC)
    digests = set()
    for changed in cards:
        names = {"provider": "CPU", "precision": "fp32"}
        drawn = replace(workshop, segmenter=SimpleNamespace(card=changed, **names))
        digests.add(_mask_digest(pair, drawn, at))
    assert len(digests) == len(cards)


def test_one_series_that_holds_all_four_is_one_result(workshop, tmp_path, measured):
    write_dixon(tmp_path / "in", ALL, one_series=True)
    outcomes, found = analyse(tmp_path / "in", tmp_path / "out", workshop)
    assert codes(outcomes) == {"part_of_dixon_set": 2}
    assert len({item["series_uid"] for item in found["series"]["inputs"]}) == 1
    assert len({item["stack"] for item in found["series"]["inputs"]}) == 2
    assert "same series" in found["quality"][0]["detail"]
    assert found["measures"] == measured[3]["measures"]


def exchange(image, contrast):
    """Water under the name of fat and fat under the name of water."""
    image.ImageType = ["DERIVED", "PRIMARY", "DIXON", "FAT" if contrast == "water" else "WATER"]


def test_exchanged_images_are_withheld(workshop, tmp_path):
    write_dixon(tmp_path / "in", each=exchange)
    outcomes, found = analyse(tmp_path / "in", tmp_path / "out", workshop)
    assert found["status"] == "not_assessable"
    assert "water_fat_swap" in codes(outcomes)
    assert found["measures"] is None


def test_water_alone_is_measured_as_before(workshop, tmp_path):
    write_dixon(tmp_path / "in", ("water",))
    (alone,) = sets_below(tmp_path / "in")
    assert why_not_eligible(alone, workshop.card) == ()
    assert [item.role for item in inputs_section(alone)] == ["image"]
    assert read_images(alone).dixon is None
    assert pair_check(alone) == ()


def sets_below(folder):
    return find_input_sets(scan(batch.find_files([folder])).stacks)


def test_two_fat_images_make_no_pair_and_the_finding_says_so(workshop, tmp_path):
    write_dixon(tmp_path / "in")
    for path in (tmp_path / "in" / "fat").iterdir():
        image = pydicom.dcmread(path)
        image.SeriesInstanceUID += ".2"
        image.SOPInstanceUID += ".2"
        image.save_as(path.with_name(f"again-{path.name}"))
    sets = sets_below(tmp_path / "in")
    assert [each.role for each in sets] == [Role.IMAGE] * 3
    reasons = {each.first.facts.contrast: why_not_eligible(each, workshop.card) for each in sets}
    assert reasons["water"] == ()
    water = next(each for each in sets if each.first.facts.contrast == "water")
    assert [(check.check, check.passed) for check in pair_check(water)] == [("dixon_pair", False)]
    assert [reason.code for reason in reasons["fat"]] == ["unsupported_contrast", "ambiguous_dixon_pair"]


def test_a_pair_is_judged_by_both_of_its_images(workshop, tmp_path):
    write_dixon(tmp_path / "in", slices=2)
    (pair,) = sets_below(tmp_path / "in")
    assert [reason.code for reason in why_not_eligible(pair, workshop.card)] == ["too_few_slices"]
    assert [item.role for item in inputs_section(pair)] == ["water", "fat"]


def test_the_precise_values_of_philips_images_are_compared(tmp_path):
    """Displayed values are precise values times rescale slope times scale slope, other ones in each image."""

    def philips(image, contrast):
        slope, scale = ("2", 0.5) if contrast == "water" else ("4", 0.125)
        image.RescaleSlope, image.RescaleIntercept = slope, "0"
        block = image.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", scale)

    written = write_dixon(tmp_path / "in", each=philips)
    (pair,) = sets_below(tmp_path / "in")
    images = read_images(pair)
    assert images.volume is images.dixon.water
    stored = {part: pixels(written[part]) for part in ("water", "fat")}
    assert np.allclose(images.dixon.water.values, stored["water"] / 0.5)
    assert np.allclose(images.dixon.fat.values, stored["fat"] / 0.125)
    assert np.allclose(read_volume(pair.fat).values, stored["fat"] * 4)


def test_without_the_private_factor_on_both_images_values_stay_as_they_are(tmp_path):
    def half(image, contrast):
        if contrast == "water":
            image.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 2.0)
        else:
            image.private_block(0x2005, "Another maker", create=True).add_new(0x0E, "FL", 2.0)

    written = write_dixon(tmp_path / "in", each=half)
    (pair,) = sets_below(tmp_path / "in")
    assert np.array_equal(read_images(pair).dixon.water.values, pixels(written["water"]))


def test_a_senseless_factor_is_refused_and_not_divided_by(tmp_path):
    def philips(image, _contrast):
        image.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FL", 1e-38)

    write_dixon(tmp_path / "in", each=philips)
    (pair,) = sets_below(tmp_path / "in")
    with pytest.raises(UnreadableSeries) as error:
        read_images(pair)
    assert error.value.reason.code == "bad_rescale"


@pytest.mark.parametrize("tag", ["AcquisitionTime", "SeriesTime"])
def test_times_without_a_day_still_tell_two_acquisitions_apart(tmp_path, tag):
    def later(image, contrast):
        image.ProtocolName, image.SeriesNumber = "t1_vibe_dixon_tra", 5 if contrast == "water" else 6
        for keyword in (
            "AcquisitionDate",
            "AcquisitionTime",
            "AcquisitionDateTime",
            "SeriesDate",
            "SeriesTime",
        ):
            image.pop(keyword, None)
        setattr(image, tag, "101500" if contrast == "water" else "102500")

    write_dixon(tmp_path / "in", each=later)
    assert [each.role for each in sets_below(tmp_path / "in")] == [Role.IMAGE] * 2


def test_the_network_may_be_shown_water_and_fat_together(workshop, tmp_path):
    write_dixon(tmp_path / "in")
    (pair,) = sets_below(tmp_path / "in")
    images = read_images(pair)
    both = images.shown(replace(workshop.card, dixon_segment_on="in_phase")).values
    assert np.array_equal(both, images.dixon.water.values + images.dixon.fat.values)
    assert images.shown(replace(workshop.card, dixon_segment_on="water")) is images.volume


def test_the_newest_time_of_both_images_is_that_of_the_result(tmp_path):
    def late(image, contrast):
        image.ContentTime = "113000" if contrast == "fat" else "110000"

    write_dixon(tmp_path / "in", each=late)
    (pair,) = sets_below(tmp_path / "in")
    assert newest_time(pair) == datetime(2025, 3, 10, 11, 30, tzinfo=UTC)


def test_water_and_fat_frames_of_one_enhanced_object_are_a_pair(tmp_path):
    enhanced_mr(
        tmp_path / "e.dcm",
        positions=[(0, 0, z) for z in (0, 4, 8, 0, 4, 8)],
        frame_types=[["DERIVED", "PRIMARY", "DIXON", part] for part in ("WATER", "FAT") for _ in range(3)],
    )
    (pair,) = sets_below(tmp_path)
    assert (pair.role, pair.evidence) == (Role.WATER, "same series")
    images = read_images(pair)
    assert images.dixon.water.values[:, 0, 0].tolist() == [0, 100, 200]
    assert images.dixon.fat.values[:, 0, 0].tolist() == [300, 400, 500]


@real_data
def test_the_real_volunteer_is_measured_by_his_fat_fraction(workshop, tmp_path):
    files = {}
    for part in ("water", "fat"):
        paths = write_tum01(data_dir(), tmp_path / "in" / part, contrast=part)
        files[part] = paths[::6]
        for path in set(paths) - set(files[part]):
            path.unlink()  # every sixth slice shows whether the voxels are the same
    _outcomes, found = analyse(tmp_path / "in", tmp_path / "out", workshop)
    assert found["status"] == "measured"
    labels = labels_of(tmp_path / "out" / "seg.dcm", files["water"])
    water, fat = pixels(files["water"]), pixels(files["fat"])
    assert np.array_equal(np.isin(labels, (3, 4)), (labels > 0) & (fat > water))
    assert 0.05 < found["measures"]["total"]["fat_signal_fraction"] < 0.25
