"""How the pages word things, and where a login may lead."""

import tomllib
from typing import get_args

import pytest

from service.dicom import handshake
from service.dicom.callers import Rejection
from service.dicom.storing import Refused
from service.settings import Peer
from service.web import codes, word_tables, words
from service.web.account import safe_next


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/a?next=//x",
        "/..//x",
        "javascript:x",
        "/a\n/b",
    ],
)
def test_a_login_leads_to_no_other_host(path):
    assert safe_next(path) is None


def test_a_login_leads_back_to_a_page_of_ours():
    assert safe_next("/analyses/7") == "/analyses/7"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "0x0000 success"),
        (0xA700, "0xA700 out of resources"),
        (0xC123, "0xC123 cannot understand"),
        (0x0001, "0x0001"),
    ],
)
def test_a_dimse_status_is_told_in_words(status, text):
    assert words.dimse(status) == text


def test_a_person_name_is_made_readable():
    assert words.person_name("Muster^Erika^^Dr=x=y") == "Muster, Erika"


def test_a_missing_value_is_a_dash_and_never_a_zero():
    assert words.number(None) == words.percent(None) == words.in_unit(None, "mL") == words.NOTHING


def test_a_share_is_shown_in_percent_and_an_index_in_its_unit():
    assert words.in_unit(0.312, "1") == "31.2 %"
    assert words.in_unit(104.26, "mL/m2") == "104.3 ml/m²"
    assert words.difference(None, "1") == words.NOTHING
    assert words.difference(0.002, "1", 2) == "0.20 percentage points"
    assert words.difference(-0.011, "1", language="de") == f"{words.MINUS}1,1 Prozentpunkte"
    assert words.difference(1.0, "cm2") == "1.0 cm²"


def test_the_block_for_a_rejected_caller_is_toml_whatever_it_calls_itself():
    block = words.peer_block("calling_ae_unknown", 'MR "2"\\\x7f', "10.0.0.1", None)
    assert tomllib.loads(block)["peer"][0] == {
        "name": "mr-2",
        "ae_title": 'MR "2"\\\x7f',
        "host": "10.0.0.1",
        "may_send": True,
    }


def test_the_block_binds_the_certificate_that_the_caller_showed():
    subject = r"O=Hospital\, North,CN=Gerät"
    block = words.peer_block("tls_subject_unknown", "MR2", "10.0.0.1", subject)
    peer = Peer.model_validate(tomllib.loads(block)["peer"][0])
    assert (peer.tls, peer.tls_subject) == (True, (subject,))


def test_where_no_block_helps_it_is_said_what_does():
    fault_codes = {*handshake._FAULTS.values(), *handshake._CERTIFICATE_FAULTS.values()}
    without_block = {*get_args(Rejection), *fault_codes, "tls_missing", "tls_timeout", "tls_failed"}
    helped = {code for code in without_block if words.peer_block(code, "A", "10.0.0.1", None)}
    assert helped == {"calling_ae_unknown", "address_unknown", "tls_subject_unknown"}
    assert without_block - helped - set(word_tables.REMEDIES) == set()


def test_no_word_claims_a_diagnosis_or_an_urgency():
    tables = (
        word_tables.STATES,
        word_tables.FLAGS,
        word_tables.FLAG_STATES,
        word_tables.QUADRANTS,
        word_tables.SCORE_STATES,
        word_tables.NOTICES,
    )
    told = " ".join(text for table in tables for text in table.values()).lower()
    for forbidden in (
        "diagnos",
        "disease",
        "sarcopenia",
        "diabetes",
        "urgent",
        "critical",
        "abnormal",
        "healthy",
    ):
        assert forbidden not in told


def test_no_percentile_is_0_or_100():
    assert [words.percentile(each) for each in (None, 0.2, 1.0, 50.4, 99.0, 99.7)] == [
        words.NOTHING,
        "<1",
        "1",
        "50",
        "99",
        ">99",
    ]


def test_a_reason_with_values_of_its_own_is_told_in_german_by_its_code():
    text = "The runner ended by SIGKILL."
    assert words.reason(text, "runner_crashed") == text
    assert words.reason(text, "runner_crashed", language="de") == "Der Prozess der Auswertung ist abgestürzt."
    assert words.reason(text, "of_tomorrow", language="de") == text


def test_every_count_of_objects_that_were_not_kept_has_its_words():
    assert {each.value for each in Refused} - codes.COUNTERS.keys() == set()
