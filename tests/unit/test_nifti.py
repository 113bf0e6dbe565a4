"""NIfTI files: the same patient whatever the order of axes, and a named reason for what cannot be read."""

import gzip
import struct
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from service.core.series import Person
from service.core.volume import Grid, Volume
from service.dicom.nifti import grid_of, layout_of, read_header, read_nifti_volume, write_nifti_mask
from service.dicom.nifti_stack import NO_CONTRAST, Told, name_of_set, read_nifti
from service.errors import ConfigurationError, UnreadableSeries
from service.pipeline.nifti import Sayings, nifti_sets, part_from, read_contrasts, read_people, scan_nifti
from tests.make import nifti_file
from tests.make.nifti import read_nifti as read_again

SHAPE = (4, 6, 8)
STRAIGHT = np.eye(3)


def turned(x_degrees=0.0, z_degrees=0.0):
    """Column, row and slice directions, turned a little about the patient's axes."""
    about_x, about_z = np.deg2rad([x_degrees, z_degrees])
    c, s, d, t = np.cos(about_x), np.sin(about_x), np.cos(about_z), np.sin(about_z)
    return (
        STRAIGHT @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) @ np.array([[d, t, 0], [-t, d, 0], [0, 0, 1]])
    )


def volume(directions=STRAIGHT, step_mm=4.0):
    """Each voxel has a value of its own; larger to the left of the patient."""
    slices, rows, columns = SHAPE
    values = np.arange(slices * rows * columns, dtype=np.float32).reshape(SHAPE)
    grid = Grid(
        origins_mm=np.array([-3.0, -5.0, 100.0]) + np.arange(slices)[:, None] * step_mm * directions[2],
        column_direction=directions[0],
        row_direction=directions[1],
        pixel_spacing_mm=(1.5, 2.0),
        rows=rows,
        columns=columns,
    )
    return Volume(values=values, grid=grid)


def read(path):
    header = read_header(path)
    return read_nifti_volume(path, grid_of(header, layout_of(header)))


def refused(path):
    with pytest.raises(UnreadableSeries) as error:
        read(path)
    return error.value.reason.code


@pytest.fixture
def plain(tmp_path):
    return nifti_file.write_volume(tmp_path / "scan.nii", volume())


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
@pytest.mark.parametrize("angles", [(0, 0), (12, -7)])
def test_the_same_voxels_in_any_order_are_the_same_volume(tmp_path, axes, flips, angles):
    made = volume(turned(*angles))
    path = nifti_file.write_volume(tmp_path / "scan.nii", made, axes=axes, flips=flips)
    found = read(path)
    assert np.array_equal(found.values, made.values)
    assert np.allclose(found.grid.origins_mm, made.grid.origins_mm, atol=1e-4)
    assert np.allclose(found.grid.column_direction, made.grid.column_direction, atol=1e-6)
    assert np.allclose(found.grid.row_direction, made.grid.row_direction, atol=1e-6)
    assert found.grid.pixel_spacing_mm == pytest.approx((1.5, 2.0))


@pytest.mark.parametrize("flips", [(False, False, False), (False, True, True), (True, False, False)])
def test_the_quaternion_tells_the_same_as_the_affine(tmp_path, flips):
    made = volume(turned(20, 10))
    by_affine = read(nifti_file.write_volume(tmp_path / "a.nii", made, flips=flips))
    by_quaternion = read(nifti_file.write_volume(tmp_path / "b.nii", made, flips=flips, sform=0, qform=1))
    assert np.array_equal(by_affine.values, by_quaternion.values)
    assert np.allclose(by_affine.grid.origins_mm, by_quaternion.grid.origins_mm, atol=1e-3)
    assert np.allclose(by_affine.grid.row_direction, by_quaternion.grid.row_direction, atol=1e-5)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_every_type_of_numbers_in_both_byte_orders(tmp_path, kind, order):
    path = nifti_file.write_volume(
        tmp_path / "scan.nii.gz", volume(), kind=kind, order=order, slope=0.5, intercept=10.0
    )
    assert np.array_equal(read(path).values, volume().values * 0.5 + 10.0)


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 7.0), (float("nan"), float("nan"))])
def test_a_file_that_was_never_scaled_keeps_its_values(tmp_path, slope, intercept):
    path = nifti_file.write_volume(tmp_path / "scan.nii", volume(), slope=slope, intercept=intercept)
    assert np.array_equal(read(path).values, volume().values)


def test_metres_are_millimetres(tmp_path):
    metres = nifti_file.affine_of(volume())
    metres[:3] /= 1000.0
    path = nifti_file.write(tmp_path / "scan.nii", volume().values.transpose(2, 1, 0), metres, units=1)
    assert np.allclose(read(path).grid.origins_mm, volume().grid.origins_mm, atol=1e-3)


def test_slices_are_the_thick_axis_or_the_one_that_the_file_names(tmp_path):
    sagittal = volume(np.array([[0.0, 1, 0], [0, 0, -1], [1, 0, 0]]))
    header = read_header(nifti_file.write_volume(tmp_path / "a.nii", sagittal, axes=(2, 0, 1)))
    assert layout_of(header).axes[0] == 0
    cube = volume(step_mm=2.0)
    header = read_header(nifti_file.write_volume(tmp_path / "b.nii", cube, axes=(2, 0, 1)))
    assert layout_of(header).axes[0] == 2
    header = read_header(nifti_file.write_volume(tmp_path / "c.nii", cube, axes=(2, 0, 1), dim_info=0x10))
    assert layout_of(header).axes[0] == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"sform": 0, "qform": 0}, "no_geometry"),
        ({"sform": 4, "qform": 0}, "standard_space"),
        ({"pixdim": (2.0, 1.5, 5.0)}, "conflicting_orientation"),
        ({"magic": b"ni1\0"}, "unsupported_nifti"),
        ({"magic": b"xxx\0"}, "not_nifti"),
        ({"offset": 100.0}, "bad_header"),
        ({"offset": 1e30}, "bad_header"),
        ({"units": 7}, "bad_header"),
        ({"slope": 1e30}, "bad_rescale"),
        ({"slope": 1.0, "intercept": float("inf")}, "bad_rescale"),
    ],
)
def test_what_a_header_may_say_wrong(tmp_path, fields, code):
    assert refused(nifti_file.write_volume(tmp_path / "scan.nii", volume(), **fields)) == code


def test_two_orientations_that_contradict_each_other_are_refused(tmp_path):
    path = nifti_file.write_volume(tmp_path / "scan.nii", volume(), qform=1)
    assert read(path).values.size
    raw = bytearray(path.read_bytes())
    # The same patient mirrored by one of the two: sides could be either.
    first = struct.unpack_from("<4f", raw, 280)
    struct.pack_into("<4f", raw, 280, *(-value for value in first))
    path.write_bytes(raw)
    assert refused(path) == "conflicting_orientation"


def test_what_is_no_volume_of_slices(tmp_path):
    affine = nifti_file.affine_of(volume())
    several = nifti_file.write(tmp_path / "a.nii", np.zeros((8, 6, 4, 2)), affine)
    flat = nifti_file.write(tmp_path / "b.nii", np.zeros((8, 6)), affine)
    one = nifti_file.write(tmp_path / "c.nii", np.zeros((8, 6, 4, 1)), affine)
    assert (refused(several), refused(flat)) == ("several_volumes", "not_an_image")
    assert read(one).values.shape == SHAPE


def test_a_sheared_grid_is_refused(tmp_path):
    affine = nifti_file.affine_of(volume())
    affine[:3, 2] += affine[:3, 0] * 0.05
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    path = nifti_file.write(tmp_path / "scan.nii", np.zeros((8, 6, 4)), affine, pixdim=spacing)
    assert refused(path) == "sheared"


def test_sizes_and_lengths_that_no_scanner_makes(tmp_path, plain):
    far = nifti_file.affine_of(volume())
    far[:3, 3] = 1e6
    assert refused(nifti_file.write(tmp_path / "far.nii", np.zeros((8, 6, 4)), far)) == "bad_geometry"
    raw = bytearray(plain.read_bytes())
    struct.pack_into("<3h", raw, 42, 2000, 2000, 2000)
    plain.write_bytes(raw)
    assert refused(plain) == "too_large"


def test_broken_files(tmp_path, plain):
    whole = plain.read_bytes()
    cases = {
        "truncated_pixels": whole[:-1],
        "truncated": whole[:300],
        "not_nifti": b"x" * 400,
        "unsupported_nifti": struct.pack("<i", 540) + whole[4:],
        "unsupported_pixel_format": whole[:70] + struct.pack("<2h", 128, 24) + whole[74:],
    }
    for code, content in cases.items():
        plain.write_bytes(content)
        assert refused(plain) == code
    packed = tmp_path / "packed.nii.gz"
    packed.write_bytes(gzip.compress(whole)[:-200])
    assert refused(packed) == "truncated_pixels"
    damaged = bytearray(gzip.compress(whole, 0))
    damaged[-30] ^= 0xFF
    packed.write_bytes(damaged)
    assert refused(packed) == "undecodable_pixels"
    packed.write_bytes(b"\x1f\x8b" + b"x" * 100)
    assert refused(packed) == "bad_header"
    assert refused(tmp_path / "nothing.nii") == "io_error"


def test_no_more_is_unpacked_than_the_header_announces(tmp_path, plain):
    bomb = tmp_path / "bomb.nii.gz"
    with gzip.open(bomb, "wb", 9) as file:
        file.write(plain.read_bytes())
        for _ in range(64):
            file.write(bytes(2**20))
    assert np.array_equal(read(bomb).values, volume().values)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("axes", "flips"),
    [
        ((0, 1, 2), (False,) * 3),
        ((2, 0, 1), (True, False, True)),
        ((0, 2, 1), (False, True, True)),
        ((1, 0, 2), (True, True, False)),
    ],
)
def test_a_mask_lies_voxel_for_voxel_on_its_file_and_carries_no_name(tmp_path, axes, flips, order):
    path = nifti_file.write_volume(
        tmp_path / "scan.nii", volume(turned(5)), axes=axes, flips=flips, order=order, kind="u1"
    )
    labels = (read(path).values % 5).astype(np.uint8)
    write_nifti_mask(path, labels, tmp_path / "mask.nii.gz")
    image, affine = read_again(path)
    mask, same = read_again(tmp_path / "mask.nii.gz")
    assert np.array_equal(mask, image % 5)
    assert np.array_equal(affine, same)
    assert b"PATIENT" not in gzip.decompress((tmp_path / "mask.nii.gz").read_bytes())
    assert np.array_equal(read(tmp_path / "mask.nii.gz").values, labels)


def stack(tmp_path, sidecar=None, name="scan.nii", told=None):
    path = nifti_file.write_volume(tmp_path / name, volume(), sidecar=sidecar)
    return read_nifti(path, told or Told())


def test_a_file_alone_names_no_contrast_and_no_person(tmp_path):
    facts = stack(tmp_path).facts
    assert (facts.contrast, facts.contrast_evidence) == ("other", NO_CONTRAST)
    assert facts.person == Person()
    assert (facts.study_uid, facts.series_uid, facts.plane) == ("", "", "axial")


def test_a_sidecar_tells_what_a_header_would(tmp_path):
    facts = stack(
        tmp_path,
        {
            "Modality": "MR",
            "MagneticFieldStrength": 1.5,
            "Manufacturer": "Siemens",
            "ManufacturersModelName": "Avanto_fit",
            "SeriesDescription": "t2_tse_tra LWS",
            "ScanningSequence": "SE",
            "SequenceVariant": "SK_SP_OSP",
            "EchoTime": 0.102,
            "RepetitionTime": 3.9,
            "AcquisitionDateTime": "2019-03-04T10:11:12.5",
            "PatientBirthDate": "1950-03-04",
            "PatientSex": "F",
            "StudyInstanceUID": "1.2.3",
        },
    ).facts
    assert (facts.contrast, facts.region, facts.scanner) == ("t2_tse", "lumbar", "SIEMENS Avanto_fit 1.5 T")
    assert (facts.person.age_years, facts.person.sex) == (69.0, "F")
    assert (facts.study_uid, facts.acquisition.time.isoformat()) == (
        "1.2.3",
        "2019-03-04T10:11:12.500000+00:00",
    )


@pytest.mark.parametrize(
    ("sidecar", "contrast"),
    [
        (
            {"ScanningSequence": "SE", "EchoTime": 0.102, "RepetitionTime": 3.9, "ScanOptions": "PFP_FS"},
            "other",
        ),
        ({"ScanningSequence": "SE", "EchoTime": 102, "RepetitionTime": 3900}, "other"),
        ({"ScanningSequence": "SE_IR", "EchoTime": 0.06, "RepetitionTime": 4, "InversionTime": 0.16}, "stir"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "IN", "PHASE"]}, "in_phase"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "WATER"]}, "water"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PHASE"]}, "other"),
        ({"SeriesDescription": "t2 tra", "Modality": "CT"}, "other"),
        ({"SeriesDescription": "t2 tra", "EchoTime": True, "SeriesNumber": "x", "ImageType": {}}, "t2_tse"),
        ({"SeriesDescription": "t2 tra", "EchoTime": 10**400}, "t2_tse"),
    ],
)
def test_contrasts_by_sidecar(tmp_path, sidecar, contrast):
    assert stack(tmp_path, sidecar).facts.contrast == contrast


def test_the_caller_has_the_last_word(tmp_path):
    told = Told(contrast="t1", person=Person(sex="M"))
    facts = stack(tmp_path, {"SeriesDescription": "t2 tra", "PatientSex": "F"}, told=told).facts
    assert (facts.contrast, facts.contrast_evidence, facts.person.sex) == ("t1", "--contrast t1", "M")


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, " " * (2**20 + 1)])
def test_a_sidecar_that_is_none_is_told(tmp_path, content):
    path = nifti_file.write_volume(tmp_path / "scan.nii", volume())
    path.with_suffix(".json").write_text(content, "utf-8")
    found = scan_nifti([path], Sayings())
    assert [item.reason.code for item in found.unreadable] == ["bad_sidecar"]


def test_names_that_differ_in_the_word_for_the_part(tmp_path):
    def named(name, contrast):
        return name_of_set(stack(tmp_path, name=name, told=Told(contrast=contrast)).facts)

    assert named("s1_vibe_W.nii.gz", "water") == named("s1_vibe_F.nii.gz", "fat") == "s1_vibe_*"
    assert named("water.nii", "water") == named("fat.nii", "fat")
    assert named("s2_vibe_W.nii.gz", "water") != named("s1_vibe_F.nii.gz", "fat")
    assert named("scan7.nii", "water") is None
    assert named("t2.nii", "t2_tse") is None


def sets_of(tmp_path, names, contrasts):
    paths = [nifti_file.write_volume(tmp_path / name, volume()) for name in names]
    return nifti_sets(scan_nifti(paths, Sayings(contrasts=read_contrasts(contrasts))).stacks)


BOTH = ("*water*=water", "*fat*=fat")


def test_water_and_fat_of_one_name_are_one_input_set(tmp_path):
    found = sets_of(tmp_path, ["s1_water.nii.gz", "s1_fat.nii.gz", "s2_water.nii.gz", "s2_fat.nii.gz"], BOTH)
    pairs = [tuple(each.facts.nifti.name for _, each in inputs.stacks) for inputs in found]
    assert pairs == [("s1_water.nii.gz", "s1_fat.nii.gz"), ("s2_water.nii.gz", "s2_fat.nii.gz")]
    assert "names that differ" in found[0].evidence


def test_two_people_in_one_folder_are_never_one_pair_or_one_scan(tmp_path):
    assert [len(each.stacks) for each in sets_of(tmp_path, ["s1_water.nii", "s2_fat.nii"], BOTH)] == [1, 1]
    assert [len(each.stacks) for each in sets_of(tmp_path / "t", ["s1.nii", "s2.nii"], ["t2_tse"])] == [1, 1]
    apart = sets_of(tmp_path, ["a/water.nii", "b/fat.nii"], BOTH)
    assert [len(each.stacks) for each in apart] == [1, 1]


def test_contrasts_by_pattern_and_for_all():
    said = Sayings(contrasts=read_contrasts(["t1", "*_t2*=t2_tse"]))
    assert said.of(Path("x/s1_t2.nii")).contrast == "t2_tse"
    assert said.of(Path("x/other.nii")).contrast == "t1"
    assert Sayings().of(Path("x/other.nii")).contrast is None
    with pytest.raises(ConfigurationError, match="no contrast"):
        read_contrasts(["t3"])


def test_people_by_file_and_by_participant(tmp_path):
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tage\tsex\theight\nsub-01\t66\tF\t1,70\nsub-02\tn/a\tO\t\n\n", "utf-8")
    by_file, by_participant = read_people(table)
    assert by_file == {}
    said = Sayings(by_participant=by_participant)
    person = said.of(tmp_path / "sub-01" / "anat" / "sub-01_T2w.nii.gz").person
    assert (person.age_years, person.sex, person.height_m) == (66.0, "F", 1.7)
    assert person.age_source == "participants.tsv"
    assert said.of(Path("sub-02_T2w.nii.gz")).person == Person()
    assert said.of(Path("sub-03_T2w.nii.gz")).person is None
    table.write_text("file;age_years;sex;height_m\n./a/scan.nii;70,5;w;165\n", "utf-8")
    said = Sayings(by_file=read_people(table)[0])
    person = said.of(Path("/data/a/scan.nii")).person
    assert (person.age_years, person.sex, person.height_m) == (70.5, "F", 1.65)
    assert said.of(Path("/data/b/scan.nii")).person is None


@pytest.mark.parametrize("text", ["name,age\nx,1\n", "file,sex\nx,F\nx,M\n"])
def test_a_table_of_people_that_cannot_be_used(tmp_path, text):
    table = tmp_path / "people.csv"
    table.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError):
        read_people(table)


def test_sidecars_of_nifti_files_are_no_images(tmp_path):
    paths = [Path("a/scan.nii.gz"), Path("a/scan.json"), Path("a/other.json"), Path("a/scan.dcm")]
    assert part_from(paths) == ([Path("a/scan.nii.gz")], [Path("a/other.json"), Path("a/scan.dcm")])


def test_damaged_headers_end_in_a_volume_or_a_named_reason(plain):
    """Three random bytes of the header changed at a time; nothing but UnreadableSeries may be raised."""
    whole, dice = plain.read_bytes(), np.random.default_rng(7)
    ends = {"read": 0}
    for _ in range(1000):
        raw = bytearray(whole)
        for place in dice.choice([*range(39, 80), *range(80, 92), *range(108, 124), *range(252, 348)], 3):
            raw[place] = dice.integers(256)
        plain.write_bytes(raw)
        try:
            ends["read"] += read(plain).values.size > 0
        except UnreadableSeries as error:
            ends[error.reason.code] = ends.get(error.reason.code, 0) + 1
    assert sum(ends.values()) == 1000
    assert ends["read"] > 30
    assert len(ends) > 8
