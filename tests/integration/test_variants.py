"""One result made in several ways for several peers: what is shared is written once."""

import pydicom
import pytest

from service.core.inputset import InputSet
from service.core.series import Role
from service.core.status import OutputKind
from service.core.variant import Variant
from service.pipeline.publish import write_objects
from tests.make.results import IDENTITY, finding, world

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
PACKED, PLAIN, GERMAN = (
    Variant(flags=False, encoding="labelmap"),
    Variant(flags=False),
    Variant(language="de", flags=False, sr_class="enhanced"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory.mktemp("images"))


def write(made, out, *variants, **options):
    out.mkdir()
    return write_objects(
        InputSet(stacks=((Role.IMAGE, made.stack),)),
        finding(made.mask),
        volume=made.volume,
        mask=made.mask,
        identity=IDENTITY,
        norms=(),
        variants=variants,
        out=out,
        **options,
    )


@pytest.fixture(scope="module")
def objects(made, tmp_path_factory):
    return write(made, tmp_path_factory.mktemp("x") / "out", PACKED, PLAIN, GERMAN, gsps=True)


def of(objects, variant, kind):
    (found,) = [each for each in objects if variant.name in each.variants and each.kind is kind]
    return found


def text_of(written):
    found: list[str] = []
    pydicom.dcmread(written.path).walk(lambda _, element: found.append(str(element.value)))
    return " ".join(found)


def test_each_variant_has_every_kind_once_and_no_identifier_stands_for_two(objects):
    for variant in (PACKED, PLAIN, GERMAN):
        kinds = sorted(each.kind for each in objects if variant.name in each.variants)
        assert kinds == ["GSPS", "PDF", "SC", "SEG", "SR"]
    assert len({each.sop_instance_uid for each in objects}) == len(objects) == 13
    assert len({each.path for each in objects}) == 13


def test_what_several_take_alike_is_written_once(objects):
    assert of(objects, PLAIN, OutputKind.SEG) is of(objects, GERMAN, OutputKind.SEG)
    assert of(objects, PLAIN, OutputKind.GSPS) is of(objects, PACKED, OutputKind.GSPS)
    assert of(objects, PLAIN, OutputKind.SEG) is not of(objects, PACKED, OutputKind.SEG)
    assert of(objects, PACKED, OutputKind.SEG).sop_class_uid == LABEL_MAP


@pytest.mark.parametrize("variant", [PACKED, PLAIN, GERMAN], ids=lambda variant: variant.name)
def test_each_report_cites_the_segmentation_and_the_capture_of_its_own_set(objects, variant):
    report = pydicom.dcmread(of(objects, variant, OutputKind.SR).path)
    cited = {
        str(item.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    for kind in (OutputKind.SEG, OutputKind.SC):
        mine = of(objects, variant, kind)
        assert mine.sop_instance_uid in cited
        others = {each.sop_instance_uid for each in objects if each.kind is kind} - {mine.sop_instance_uid}
        assert not others & cited


def test_language_and_class_of_each_report_are_its_own(objects):
    assert "RESEARCH USE ONLY" in text_of(of(objects, PLAIN, OutputKind.SR))
    german = of(objects, GERMAN, OutputKind.SR)
    assert "NUR FÜR DIE FORSCHUNG" in text_of(german)
    assert german.sop_class_uid == "1.2.840.10008.5.1.4.1.1.88.22"


def test_the_first_has_the_plain_names_and_the_others_carry_theirs(objects):
    assert of(objects, PACKED, OutputKind.SR).path.name == "sr.dcm"
    assert of(objects, GERMAN, OutputKind.SR).path.name == "sr.de-enhanced.dcm"
    assert (of(objects, GERMAN, OutputKind.SR).path.parent / "report.de-enhanced.pdf").is_file()


def test_the_same_again_gives_the_same_bytes(made, objects, tmp_path):
    again = write(made, tmp_path / "again", PACKED, PLAIN, GERMAN, gsps=True)
    assert [each.sha256 for each in again] == [each.sha256 for each in objects]


def test_a_report_names_the_one_of_its_variant_that_it_takes_the_place_of(made, tmp_path):
    older = {PLAIN.name: "1.2.3.4.5"}
    written = write(made, tmp_path / "out", PLAIN, GERMAN, older=older)
    report = pydicom.dcmread(of(written, PLAIN, OutputKind.SR).path)
    (study,) = report.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.5"
    assert "PredecessorDocumentsSequence" not in pydicom.dcmread(of(written, GERMAN, OutputKind.SR).path)


def test_nobody_s_flags_reach_a_peer_that_wants_none(made, objects, tmp_path):
    shown = write(made, tmp_path / "out", Variant())
    assert "reference range" in text_of(of(shown, Variant(), OutputKind.SR))
    assert "reference range" not in text_of(of(objects, PLAIN, OutputKind.SR))
