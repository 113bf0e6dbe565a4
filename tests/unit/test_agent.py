"""What headers say of a contrast agent."""

import pytest

from service.dicom.agent import read_agent
from service.dicom.headers import Attributes
from service.dicom.series import scan
from tests.make.series import _item, enhanced_mr, mr_series, mr_slice

SILENT = {"SeriesDescription": "t1_tse_tra", "ProtocolName": "L-Spine"}


def agent(**changes):
    return read_agent(Attributes((mr_slice(**{**SILENT, **changes}),)))


@pytest.mark.parametrize(
    "value",
    [
        *("", "NONE", "no", "Nativ", "w/o", "N/A", "No contrast", "ohne KM", "kein KM", "keine", "-", "nil"),
        *("NO CONTRAST GIVEN", "without contrast", "0 ml", "0.0", "unknown", "None.", "not given"),
    ],
)
def test_an_attribute_may_say_that_there_was_none(value):
    assert agent(ContrastBolusAgent=value) == ""


def test_standard_attributes_say_it():
    for name in ("Gadovist 1.0", "Gd", "Novel agent", "10 ml Dotarem", "YES", "contrast"):
        assert agent(ContrastBolusAgent=name) == f"ContrastBolusAgent={name}"
    found = agent(ContrastBolusAgentSequence=[_item(CodeValue="C-B03CF")])
    assert found == "ContrastBolusAgentSequence is present"


@pytest.mark.parametrize(
    "words",
    [
        "t1_tse_tra+C",
        "T1 +Gd",
        "t1_tse_tra_KM",
        "T1 TSE mit KM",
        "Ax T1 POST CONTRAST",
        "AX T1 C+",
        "t1 Gd-DTPA",
        "T1 TRA GADO",
        "T1 nach Kontrastmittel",
        "t1_fl2d_postcontrast",
        "T1 TSE TRA POST GAD",
        "AX T1 POST",
        "t1 post gadavist",
        "AX T1 POST CONTRAST NO FS",
        "T1 TSE TRA +C non-fatsat",
        "t1_tse_tra_KM_ohne_FS",
        "T1 AX GAD W/O FAT SAT",
        "T1 W CONTRAST",
        "T1 AX W/ CONTRAST",
        "T1 IV CONTRAST",
        "T1 CE",
        "t1 contrast enhanced",
        "t1_tse_tra_pKM",
        "T1 PRE AND POST GD",
    ],
)
@pytest.mark.parametrize("keyword", ["SeriesDescription", "ProtocolName"])
def test_words_of_the_site_say_it_where_attributes_are_silent(keyword, words):
    assert agent(**{keyword: words}) == f"{keyword}={words}"


@pytest.mark.parametrize(
    "words",
    [
        "t1_tse_tra",
        "T1 ohne KM",
        "t1 vor KM",
        "T1 pre contrast",
        "T1 w/o Gd",
        "t1 nativ",
        "T1 NON CONTRAST",
        "T1 AX W/O CONTRAST",
    ],
)
def test_words_that_say_there_was_none(words):
    assert agent(SeriesDescription=words) == ""


@pytest.mark.parametrize(
    "words",
    [
        "T1 TSE C-SPINE",
        "T2 CERVICAL",
        "kmeans map",
        "T1 SE +CSP",
        "T1 C+T SPINE",
        "T1W C-SPINE",
        "T1 POST-OP",
        "T1 +C-SPINE",
    ],
)
def test_other_words_do_not(words):
    assert agent(SeriesDescription=words) == ""


def test_a_series_knows_better_than_the_protocol_of_the_examination():
    protocol = "LWS mit KM"
    assert agent(SeriesDescription="t1_tse_tra", ProtocolName=protocol) == f"ProtocolName={protocol}"
    for description in ("T1 AX PRE", "t1_tse_tra_nativ", "T1 NON CONTRAST"):
        assert agent(SeriesDescription=description, ProtocolName=protocol) == ""
    assert agent(SeriesDescription="T1 pre-op", ProtocolName=protocol) == f"ProtocolName={protocol}"


def test_an_enhanced_image_says_it_for_its_frames(tmp_path):
    for value, said in (("YES", "ContrastBolusAgentAdministered=YES"), ("NO", "")):
        assert agent(ContrastBolusAgentAdministered=value, ContrastBolusAgent="Dotarem") == said
    path = enhanced_mr(
        tmp_path / "e.dcm", positions=[(0, 0, 4.0 * k) for k in range(3)], ContrastBolusAgent="Dotarem"
    )
    (stack,) = scan([path]).stacks
    assert stack.facts.contrast_agent == "ContrastBolusAgent=Dotarem"


def test_the_facts_of_a_stack_hold_it(tmp_path):
    given = mr_series(tmp_path, changes={"ContrastBolusAgent": "Gadovist"})
    (stack,) = scan(given).stacks
    assert stack.facts.contrast == "t2_tse"
    assert stack.facts.contrast_agent == "ContrastBolusAgent=Gadovist"
