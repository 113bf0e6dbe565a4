"""The self-test: the phantom goes through the real receiver and worker, and is compared with the truth.

Its study is written down before it is sent. By that row the receiver lets it in, the rules let it pass, no
peer gets its results unless named, and no count, fit or table holds it. Afterwards it is taken away.
"""

import logging
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from service.core.status import TERMINAL, AnalysisState, DeliveryState
from service.db import selftests
from service.db.lookup import study_progress
from service.db.overview import DatabaseTrouble
from service.db.selftests import LONGEST, SelfTestFacts
from service.db.session import Sessions, reading
from service.dicom import scu
from service.dicom.callers import SELF_TEST_AE
from service.dicom.phantom import Phantom
from service.dicom.series import scan
from service.dicom.synthesis import SyntheticPatient, write_drawn
from service.errors import InvalidRequest, PeerUnreachable
from service.pipeline import retention

__all__ = ["SELF_TEST_AE", "Outcome", "Terms", "clear_up", "expected_study", "run"]

log = logging.getLogger(__name__)

PASSED: Final = "passed"
#: Reserved: told apart by the row of the test, and not by this name.
PATIENT: Final = SyntheticPatient(
    name="SELFTEST^MYOSCREEN",
    patient_id="MYOSCREEN-SELFTEST",
    birth_date=date(1980, 3, 10),
    sex="M",
    height_m=1.78,
    weight_kg=80.0,
)
#: How often the ledger is asked how far it is.
ASK_SECONDS = 0.5
ARRIVED = (DeliveryState.SENT, DeliveryState.CONFIRMED)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How long is waited, and how far from the truth a measure may be.

    The bundled network was off by at most 1.6 % of a side's volume on this phantom, 3.3 % on two others, and
    0.005 of the share of fat. The limits are three times the worst of these, chosen by us: what is broken is
    off by far more, and another processor or precision by far less.
    """

    seconds: float = 600.0
    volume: float = 0.10
    share: float = 0.015


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it: "passed" or the code of the reason why not, a sentence, and numbers."""

    code: str
    text: str
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all was as it should be."""
        return self.code == PASSED


class _Ended(Exception):
    """The test cannot go on."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code)
        self.code, self.text = code, text


def expected_study(sessions: Sessions, *, now: datetime) -> str | None:
    """The study that a running test is about to send; None where none runs, or nobody knows."""
    try:
        with reading(sessions) as session:
            return selftests.expected_study(session, now=now)
    except DatabaseTrouble:
        return None


def run(
    sessions: Sessions,
    home: Path,
    address: scu.Address,
    *,
    peers: Sequence[str],
    terms: Terms,
    clock: Callable[[], datetime],
    on_step: Callable[[str, float], None] = lambda _step, _seconds: None,
) -> Outcome:
    """Send the phantom to ``address``, wait, compare, write down what came of it, and clear up.

    Raises InvalidRequest while another test runs.
    """
    clear_up(sessions, home, now=clock())
    with reading(sessions) as session:
        if selftests.expected_study(session, now=clock()) is not None:
            raise InvalidRequest("Another self-test runs.", reason="self_test_runs")
    with tempfile.TemporaryDirectory() as scratch:
        paths, truth = write_drawn(Path(scratch), patient=PATIENT, occasion=secrets.token_hex(8))
        study_uid = scan(paths).stacks[0].facts.study_uid
        with sessions.begin() as session:
            test_id = selftests.begin(session, study_uid=study_uid, peers=peers, now=clock())
        test = _Test(sessions=sessions, study_uid=study_uid, peers=tuple(peers), terms=terms, told=on_step)
        outcome = Outcome(code="interrupted", text="The self-test was broken off.")
        try:
            outcome = test.go(paths, address, truth)
        finally:
            with sessions.begin() as session:
                selftests.finish(session, test_id, outcome=outcome.code, detail=outcome.detail, now=clock())
            clear_up(sessions, home, now=clock())
    log.log(
        logging.INFO if outcome.passed else logging.WARNING, "self_test_done", extra={"code": outcome.code}
    )
    return outcome


def clear_up(sessions: Sessions, home: Path, *, now: datetime) -> None:
    """Take away what tests that are over sent, once nobody works on it; what cannot go waits."""
    with reading(sessions) as session:
        over = [test for test in selftests.with_study(session) if _is_over(test, now)]
    for test in over:
        assert test.study_uid is not None
        with reading(sessions) as session:
            study_id = selftests.study_id_of(session, test.study_uid)
            still = study_id is None or selftests.is_still(session, study_id)
        if still and (study_id is None or retention.remove_study(sessions, home, study_id, now=now)):
            with sessions.begin() as session:
                selftests.cleared(session, test.id)


def _is_over(test: SelfTestFacts, now: datetime) -> bool:
    return test.finished_at is not None or now - test.started_at > LONGEST


@dataclass(kw_only=True)
class _Test:
    """One run."""

    sessions: Sessions
    study_uid: str
    peers: tuple[str, ...]
    terms: Terms
    told: Callable[[str, float], None]
    seconds: dict[str, float] = field(default_factory=dict)
    measures: dict[str, list[float]] = field(default_factory=dict)

    def go(self, paths: Sequence[Path], address: scu.Address, truth: Phantom) -> Outcome:
        """Every step; the outcome."""
        try:
            self._step("send", lambda: self._send(paths, address))
            finding = self._step("analyse", self._finding)
            self._compare(finding, truth)
            if self.peers:
                self._step("deliver", self._delivered)
        except _Ended as ended:
            return Outcome(code=ended.code, text=ended.text, detail=self._detail())
        return Outcome(code=PASSED, text="Every measure is what it should be.", detail=self._detail())

    def _detail(self) -> dict[str, Any]:
        """What is kept: measured and true values, and seconds by step."""
        return {"seconds": self.seconds, "measures": self.measures}

    def _step(self, name: str, act: Callable[[], Any]) -> Any:
        start = time.monotonic()
        try:
            return act()
        finally:
            self.seconds[name] = round(time.monotonic() - start, 1)
            self.told(name, self.seconds[name])

    def _send(self, paths: Sequence[Path], address: scu.Address) -> None:
        try:
            outcomes = scu.store(paths, address)
        except PeerUnreachable as error:
            raise _Ended("not_reached", f"The receiver cannot be reached: {error.reason.text}") from error
        refused = [outcome for outcome in outcomes if not outcome.stored]
        if refused:
            answer = refused[0].code or f"0x{refused[0].status or 0:04X}"
            raise _Ended("not_accepted", f"{len(refused)} of {len(outcomes)} images were refused ({answer}).")

    def _finding(self) -> dict[str, Any]:
        """The finding, once the analysis is at its end."""

        def ended() -> tuple[str, str | None, dict[str, Any] | None] | None:
            with reading(self.sessions) as session:
                found = selftests.result_of(session, self.study_uid)
            return found if found is not None and AnalysisState(found[0]) in TERMINAL else None

        state, reason, finding = self._wait(ended, "the result")
        if state != AnalysisState.MEASURED or finding is None:
            raise _Ended("not_measured", f"The phantom was not measured: {state}, {reason or 'no reason'}.")
        return dict(finding)

    def _compare(self, finding: Mapping[str, Any], truth: Phantom) -> None:
        """Every measure that there is beside the truth."""
        wrong = []
        for name, measured, true, off, limit in _beside(finding["measures"], truth, self.terms):
            self.measures[name] = [round(measured, 4), round(true, 4)]
            if not off <= limit:
                wrong.append(f"{name} {measured:.3f} instead of {true:.3f}")
        if wrong or not self.measures:
            raise _Ended("differs", f"Not what it should be: {', '.join(wrong) or 'no measure at all'}.")

    def _delivered(self) -> None:
        def arrived() -> bool | None:
            return all(self._has_all(peer) for peer in self.peers) or None

        self._wait(arrived, "the peers to store it", code="not_delivered")

    def _has_all(self, peer: str) -> bool:
        with reading(self.sessions) as session:
            states = [
                state
                for analysis in study_progress(session, study_uid=self.study_uid, peer=peer)
                for state in analysis.deliveries.values()
            ]
        if DeliveryState.DEAD in states:
            raise _Ended("not_delivered", f"The peer {peer} refused an object.")
        if DeliveryState.HELD in states:
            raise _Ended("not_delivered", f"The peer {peer} gets nothing before a review.")
        return bool(states) and all(state in ARRIVED for state in states)

    def _wait(self, ask: Callable[[], Any], what: str, *, code: str = "timeout") -> Any:
        end = time.monotonic() + self.terms.seconds
        while (answer := ask()) is None:
            if time.monotonic() > end:
                raise _Ended(code, f"Waited {self.terms.seconds:.0f} s for {what} in vain.")
            time.sleep(ASK_SECONDS)
        return answer


def _beside(
    measures: Mapping[str, Any], truth: Phantom, terms: Terms
) -> Iterator[tuple[str, float, float, float, float]]:
    """Name, measured, true, how far off, and how far it may be; sides tell swapped sides, too."""
    sides = {
        "left": (truth.lean_left_ml, truth.fat_left_ml),
        "right": (truth.lean_right_ml, truth.fat_right_ml),
    }
    for side, (lean_ml, fat_ml) in sides.items():
        true_ml = lean_ml + fat_ml
        measured_ml = measures[side]["compartment_ml"]
        if measured_ml is not None:
            off = abs(measured_ml / true_ml - 1.0)
            yield f"{side} compartment_ml", measured_ml, true_ml, off, terms.volume
        share = measures[side]["imat_fraction"]
        if share is not None:
            true_share = fat_ml / true_ml
            yield f"{side} imat_fraction", share, true_share, abs(share - true_share), terms.share
