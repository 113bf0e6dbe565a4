"""The conformance statement is what the program runs with."""

import re

from service.dicom import codes, offering, storing
from tests.make.conformance.attributes import attributes_table
from tests.make.conformance.page import PAGE, told
from tests.make.conformance.tables import all_codes, not_kept, parameters, services


def test_the_page_on_disk_is_the_one_that_the_code_gives():
    assert PAGE.read_text("utf-8") == told(), "make docs writes it"


def test_every_class_that_is_negotiated_stands_in_a_table():
    shown = set(re.findall(r"\| ([0-9.]+) \|", services() + not_kept()))
    assert shown >= set(offering.make_offer(reports=True, asks=True, performs=True).syntaxes)


def test_a_class_that_is_kept_is_not_among_those_that_are_not():
    assert not [uid for uid in storing.MR_CLASSES if f"| {uid} |" in not_kept()]
    assert "| CT Image Storage | 1.2.840.10008.5.1.4.1.1.2 |" in not_kept()


def test_codes_in_tables_of_the_code_are_found_too():
    found = {value for scheme, value, _ in all_codes() if scheme == codes.SCHEME}
    assert {"RESULTSTATUS", "WRONGPATIENT", "IMATLEFT", "LMMLOW", "NOTRAISED"} <= found


def test_attributes_are_found_in_the_modules_that_read():
    table = attributes_table()
    assert "| ImagePositionPatient | (0020,0032) | DS | geometry, sorting |" in table
    assert "| ContrastBolusAgent | (0018,0010) | LO | contrast and region" in table
    assert "PixelData" in table


def test_passwords_are_no_parameters():
    assert "FILE" not in parameters()
