import pytest

from service.dicom.callers import Caller, CallerList, plain_address
from service.dicom.certificates import Certificate

SCANNER = Caller(name="scanner", ae_title="SCANNER", host="10.0.0.5")


def admit(
    callers,
    *,
    calling="SCANNER",
    called="MYOSCREEN",
    address="10.0.0.5",
    resolve=None,
    loopback=None,
    certificate=None,
):
    listed = CallerList(callers, ae_title="MYOSCREEN", resolve=resolve, loopback=loopback)
    return listed.admit(calling_ae=calling, called_ae=called, address=address, certificate=certificate)


def test_a_peer_is_known_by_title_and_address_together():
    assert admit([SCANNER]).caller is SCANNER
    assert admit([SCANNER], address="10.0.0.6").rejection == "address_unknown"
    assert admit([SCANNER], calling="OTHER").rejection == "calling_ae_unknown"
    assert admit([SCANNER], called="SCANNER").rejection == "called_ae_unknown"


def test_padding_of_titles_does_not_matter():
    assert admit([SCANNER], calling="SCANNER   ", called=" MYOSCREEN").caller is SCANNER


def test_a_peer_that_only_receives_may_not_send():
    pacs = Caller(name="pacs", ae_title="SCANNER", host="10.0.0.5", may_send=False)
    assert admit([pacs]).rejection == "may_not_send"
    assert admit([pacs, SCANNER]).caller is SCANNER


def test_a_peer_that_only_asks_or_reports_is_let_in_behind_those_that_send():
    asks = Caller(name="asks", ae_title="SCANNER", host="10.0.0.5", may_send=False, may_ask=True)
    assert admit([asks]).caller is asks
    assert admit([asks, SCANNER]).caller is SCANNER


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.5", False)],
)
def test_without_any_peer_only_this_machine_may_send(address, allowed):
    assert (admit([], address=address).caller is not None) is allowed


def test_this_machine_may_be_let_in_or_shut_out_on_purpose():
    beside_a_peer = admit([SCANNER], calling="ANY", address="127.0.0.1", loopback=True)
    assert beside_a_peer.caller.name == "loopback"
    assert admit([SCANNER], calling="ANY", address="10.0.0.9", loopback=True).caller is None
    assert admit([], address="127.0.0.1", loopback=False).rejection == "address_unknown"


def test_a_listed_peer_takes_the_right_from_this_machine():
    assert admit([SCANNER], calling="ANY", address="127.0.0.1").rejection == "calling_ae_unknown"


def test_a_host_may_be_a_name_or_a_network():
    named = Caller(name="a", ae_title="SCANNER", host="scanner.example")
    assert admit([named], resolve={"scanner.example": frozenset({"10.0.0.5"})}.get).caller is named
    net = Caller(name="b", ae_title="SCANNER", host="10.0.0.0/24")
    assert admit([net]).caller is net
    assert admit([net], address="10.0.1.5").rejection == "address_unknown"


def test_an_address_has_one_form():
    assert plain_address("::ffff:10.0.0.5") == "10.0.0.5"
    assert plain_address("fe80::1%eth0") == "fe80::1"


def shown(name):
    return Certificate(subject=(("commonName", name),))


BOUND = Caller(name="bound", ae_title="SCANNER", host="10.0.0.5", tls=True, tls_subject=("CN=scanner",))


def test_a_bound_peer_needs_its_own_certificate():
    assert admit([BOUND], certificate=shown("scanner")).caller is BOUND
    assert admit([BOUND], certificate=shown("other")).rejection == "tls_subject_unknown"
    assert admit([BOUND]).rejection == "tls_required"
    assert admit([BOUND], certificate=shown("scanner"), calling="OTHER").rejection == "calling_ae_unknown"
    assert admit([BOUND], certificate=shown("scanner"), address="10.0.0.6").rejection == "address_unknown"


def test_a_peer_without_tls_is_not_let_in_by_any_certificate():
    assert admit([SCANNER], certificate=shown("scanner")).rejection == "tls_subject_unknown"
    assert admit([SCANNER, BOUND], certificate=shown("scanner")).caller is BOUND
    assert admit([BOUND, SCANNER]).caller is SCANNER


def test_this_machine_is_not_let_in_unlisted_by_tls():
    local = {"address": "127.0.0.1", "certificate": shown("scanner")}
    assert admit([], **local).rejection == "address_unknown"
    assert admit([SCANNER], loopback=True, calling="ANY", **local).rejection == "calling_ae_unknown"
