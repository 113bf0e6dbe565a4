"""Where a request comes from, and how often somebody there may try to log in."""

from datetime import UTC, datetime, timedelta

import pytest

from service.web import doorstep
from service.web.doorstep import LoginLimit, origin

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
PROXY = ("127.0.0.1", "10.1.9.0/28")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.7", [], "10.0.0.7"),
        # Whoever is no proxy may write what he likes.
        ("10.0.0.7", ["1.2.3.4"], "10.0.0.7"),
        ("127.0.0.1", ["10.0.0.7"], "10.0.0.7"),
        # What a stranger wrote before the proxy added his address does not count.
        ("127.0.0.1", ["1.2.3.4, 10.0.0.7"], "10.0.0.7"),
        ("127.0.0.1", ["1.2.3.4", "10.0.0.7"], "10.0.0.7"),
        # Two proxies in a row.
        ("127.0.0.1", ["1.2.3.4, 10.0.0.7, 10.1.9.3"], "10.0.0.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["10.0.0.7, unknown"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["10.0.0.7:51000"], "10.0.0.7"),
        ("127.0.0.1", ["[2001:db8::7]:51000"], "2001:db8::7"),
        ("::ffff:127.0.0.1", ["::ffff:10.0.0.7"], "10.0.0.7"),
        (None, ["10.0.0.7"], None),
        ("unix", ["10.0.0.7"], "unix"),
    ],
)
def test_only_trusted_proxies_say_where_a_request_comes_from(peer, forwarded, expected):
    assert origin(peer, forwarded, PROXY) == expected


def test_without_trusted_proxies_nobody_is_believed():
    assert origin("127.0.0.1", ["10.0.0.7"], ()) == "127.0.0.1"


def test_an_endless_chain_is_not_read_to_its_end():
    chain = ", ".join(["1.2.3.4", *["10.1.9.3"] * 500])
    assert origin("127.0.0.1", [chain], PROXY) == "10.1.9.3"


def fill(limit, address, now=NOW):
    return [limit.begin(address, now) for _ in range(doorstep.FAILURES_BEFORE_WAIT)]


def test_too_many_wrong_tries_from_one_address_wait_five_minutes():
    limit = LoginLimit()
    assert all(fill(limit, "10.0.0.7"))
    assert not limit.begin("10.0.0.7", NOW)
    assert limit.begin("10.0.0.8", NOW)
    assert not limit.begin("10.0.0.7", NOW + timedelta(minutes=4))
    assert limit.begin("10.0.0.7", NOW + timedelta(minutes=5, seconds=1))


def test_right_tries_do_not_count_and_do_not_wash_wrong_ones_away():
    limit = LoginLimit()
    for _ in range(100):
        assert limit.begin("10.0.0.7", NOW)
        limit.succeed("10.0.0.7", NOW)
    for second in range(doorstep.FAILURES_BEFORE_WAIT - 1):
        assert limit.begin("10.0.0.7", NOW + timedelta(seconds=second))
    right = NOW + timedelta(seconds=60)
    assert limit.begin("10.0.0.7", right)
    limit.succeed("10.0.0.7", right)
    assert limit.begin("10.0.0.7", right)
    assert not limit.begin("10.0.0.7", right)


def test_the_addresses_of_one_ipv6_network_are_one():
    limit = LoginLimit()
    fill(limit, "2001:db8::1")
    assert not limit.begin("2001:db8::2", NOW)
    assert limit.begin("2001:db8:0:1::2", NOW)


def test_the_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(doorstep, "REMEMBERED", 50)
    limit = LoginLimit()
    for number in range(500):
        limit.begin(f"10.0.{number // 250}.{number % 250}", NOW)
    assert len(limit) == 50
    assert all(len(tries) <= doorstep.FAILURES_BEFORE_WAIT for tries in limit._tries.values())
