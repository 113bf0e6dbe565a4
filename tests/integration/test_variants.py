"""One result made in several ways for several peers: what is shared is written once."""

import pydicom
import pytest

from service.core.inputset import InputSet
from service.core.series import Role
from service.core.status import OutputKind
from service.core.variant import SR_CLASS_UIDS, Variant
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
    assert len({each.sop_instance_uid for each in objects}) == len(objects) == 12
    assert len({each.path for each in objects}) == 12


def test_what_several_take_alike_is_written_once(objects):
    assert of(objects, PLAIN, OutputKind.SEG) is of(objects, GERMAN, OutputKind.SEG)
    assert of(objects, PLAIN, OutputKind.GSPS) is of(objects, PACKED, OutputKind.GSPS)
    assert of(objects, PLAIN, OutputKind.SC) is of(objects, PACKED, OutputKind.SC)
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


@pytest.fixture(scope="module")
def in_classes(made, tmp_path_factory):
    """One set in each class of report, as for a peer that may refuse the first."""
    return write(made, tmp_path_factory.mktemp("classes") / "out", PLAIN, *PLAIN.fallbacks)


def test_the_set_of_each_class_cites_its_own_report_and_shares_what_no_class_shapes(in_classes):
    assert len(in_classes) == 2 + 3 * 2
    for variant in (PLAIN, *PLAIN.fallbacks):
        report = of(in_classes, variant, OutputKind.SR)
        assert report.sop_class_uid == SR_CLASS_UIDS[variant.sr_class]
        (source,) = pydicom.dcmread(of(in_classes, variant, OutputKind.PDF).path).SourceInstanceSequence
        assert source.ReferencedSOPInstanceUID == report.sop_instance_uid
        assert source.ReferencedSOPClassUID == report.sop_class_uid
    for kind in (OutputKind.SEG, OutputKind.SC):
        (shared,) = [each for each in in_classes if each.kind is kind]
        assert shared.variants == tuple(each.name for each in (PLAIN, *PLAIN.fallbacks))


@pytest.mark.parametrize("variant", PLAIN.fallbacks, ids=lambda variant: variant.sr_class)
def test_a_report_beside_others_has_the_bytes_that_it_would_have_alone(made, in_classes, tmp_path, variant):
    alone = write(made, tmp_path / "alone", variant)
    assert of(alone, variant, OutputKind.SR).sha256 == of(in_classes, variant, OutputKind.SR).sha256
    assert of(alone, variant, OutputKind.PDF).sha256 == of(in_classes, variant, OutputKind.PDF).sha256


@pytest.mark.parametrize("form", ["volumetric", "planar"])
def test_what_is_said_is_allowed_in_the_plainest_class(made, tmp_path, form):
    """PS3.3 A.35.2: Enhanced SR has neither SCOORD3D nor anything by reference."""
    written = write(made, tmp_path / "out", Variant(sr_form=form))
    report = pydicom.dcmread(of(written, Variant(sr_form=form), OutputKind.SR).path)
    types = set()

    def look(item):
        types.add(str(item.get("ValueType")))
        assert "ReferencedContentItemIdentifier" not in item
        for child in item.get("ContentSequence", ()):
            look(child)

    look(report)
    assert types <= {"CONTAINER", "CODE", "TEXT", "NUM", "IMAGE", "UIDREF", "SCOORD"}
    assert ("SCOORD" in types) == (form == "planar")


def test_each_edition_names_the_predecessor_of_its_own_class(made, tmp_path):
    comprehensive = PLAIN.without(["comprehensive3d"])
    older = {PLAIN.name: "1.2.3.4.5", comprehensive.name: "1.2.3.4.6"}
    written = write(made, tmp_path / "out", PLAIN, *PLAIN.fallbacks, older=older)
    named = {}
    for variant in (PLAIN, *PLAIN.fallbacks):
        report = pydicom.dcmread(of(written, variant, OutputKind.SR).path)
        for study in report.get("PredecessorDocumentsSequence", ()):
            item = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
            named[variant.sr_class] = (item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID)
    assert named == {
        "comprehensive3d": ("1.2.3.4.5", SR_CLASS_UIDS["comprehensive3d"]),
        "comprehensive": ("1.2.3.4.6", SR_CLASS_UIDS["comprehensive"]),
    }
