"""When a peer that cannot be reached is left alone, and when it is tried again.

Only unreachability counts: a peer that refuses an object is there. Times come from outside.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class CircuitState(StrEnum):
    """Whether anything is sent to a peer."""

    #: Everything is sent.
    CLOSED = "closed"
    #: Nothing is sent until the time of the next probe.
    OPEN = "open"
    #: One result is being sent as a probe; the others wait for what becomes of it.
    HALF_OPEN = "half_open"


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """What is known of one peer."""

    state: CircuitState = CircuitState.CLOSED
    #: Failures to reach it, in a row.
    failures: int = 0
    #: When the next probe may go; None while closed.
    open_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class CircuitTerms:
    """After how many failures a circuit opens, and how long it then stays so."""

    failures: int
    probe: timedelta
    probe_max: timedelta


CLOSED = Circuit()
#: Five tries in a row are more than a restart of an archive costs, half a minute is soon enough for one that
#: is back, and five minutes is the most that anybody waits after a long outage. All chosen by us.
DEFAULT_TERMS = CircuitTerms(failures=5, probe=timedelta(seconds=30), probe_max=timedelta(seconds=300))


def after_failure(circuit: Circuit, terms: CircuitTerms, *, now: datetime, spread: float) -> Circuit:
    """The circuit after the peer could not be reached.

    Each probe that fails doubles the wait, up to the longest one; ``spread`` (0 to 1) shortens it, so that
    several installations do not probe in step.
    """
    failures = circuit.failures + 1
    if circuit.state is CircuitState.CLOSED and failures < terms.failures:
        return Circuit(failures=failures)
    # 2^30 probes in a row would take decades; the bound keeps the number finite.
    doubled = terms.probe * float(2 ** min(max(failures - terms.failures, 0), 30))
    wait = min(doubled, terms.probe_max) * spread
    return Circuit(state=CircuitState.OPEN, failures=failures, open_until=now + wait)


def claim(
    circuit: Circuit, terms: CircuitTerms, *, now: datetime, sending: int, lanes: int
) -> Circuit | None:
    """The circuit once one more result is taken for the peer, None when that has to wait.

    ``sending`` results are on their way already, and ``lanes`` may be at a time. A circuit whose prober died
    gives way when that prober's lease is over, because nothing is being sent any more.
    """
    if circuit.state is CircuitState.CLOSED:
        return circuit if sending < lanes else None
    if sending or (circuit.state is CircuitState.OPEN and not probe_due(circuit, terms, now=now)):
        return None
    return Circuit(state=CircuitState.HALF_OPEN, failures=circuit.failures, open_until=circuit.open_until)


def probe_due(circuit: Circuit, terms: CircuitTerms, *, now: datetime) -> bool:
    """Whether the next probe may go.

    A time further away than the longest wait was written by a clock that has been set back since.
    """
    return circuit.open_until is None or not now < circuit.open_until <= now + terms.probe_max
