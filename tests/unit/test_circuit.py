"""When a peer is left alone, and when it is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from service.core.circuit import CLOSED, Circuit, CircuitState, CircuitTerms, after_failure, claim

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TERMS = CircuitTerms(failures=3, probe=timedelta(seconds=30), probe_max=timedelta(seconds=100))


def failed(times, *, spread=1.0):
    circuit = CLOSED
    for _ in range(times):
        circuit = after_failure(circuit, TERMS, now=NOW, spread=spread)
    return circuit


def may_go(circuit, *, now=NOW, sending=0, lanes=1):
    return claim(circuit, TERMS, now=now, sending=sending, lanes=lanes)


def test_the_third_failure_in_a_row_opens_it():
    assert failed(2) == Circuit(failures=2)
    assert failed(3) == Circuit(state=CircuitState.OPEN, failures=3, open_until=NOW + timedelta(seconds=30))


@pytest.mark.parametrize(("failures", "seconds"), [(3, 30), (4, 60), (5, 100), (5000, 100)])
def test_each_probe_that_fails_doubles_the_wait_up_to_its_bound(failures, seconds):
    before = Circuit(state=CircuitState.HALF_OPEN, failures=failures - 1, open_until=NOW)
    after = after_failure(before, TERMS, now=NOW, spread=1.0)
    assert after.open_until == NOW + timedelta(seconds=seconds)


def test_the_spread_shortens_the_wait():
    assert failed(3, spread=0.5).open_until == NOW + timedelta(seconds=15)


def test_a_probe_that_fails_below_the_threshold_opens_it_again():
    probing = Circuit(state=CircuitState.HALF_OPEN, failures=0, open_until=NOW)
    assert after_failure(probing, TERMS, now=NOW, spread=1.0).state is CircuitState.OPEN


def test_a_closed_circuit_lets_as_many_go_as_there_are_lanes():
    assert may_go(CLOSED) == CLOSED
    assert may_go(CLOSED, sending=1) is None
    assert may_go(CLOSED, sending=1, lanes=2) == CLOSED


def test_an_open_circuit_lets_one_go_when_its_time_has_come():
    circuit = failed(3)
    assert may_go(circuit) is None
    probing = may_go(circuit, now=NOW + timedelta(seconds=30), lanes=4)
    assert probing is not None
    assert probing.state is CircuitState.HALF_OPEN
    assert may_go(probing, sending=1, lanes=4) is None


def test_a_probe_whose_sender_died_is_followed_by_another():
    probing = Circuit(state=CircuitState.HALF_OPEN, failures=3, open_until=NOW)
    assert may_go(probing, sending=0) == probing


def test_a_clock_that_was_set_back_keeps_nobody_waiting():
    circuit = failed(3)
    assert may_go(circuit, now=NOW - timedelta(days=1)) is not None
    assert may_go(Circuit(state=CircuitState.OPEN, failures=3)) is not None
