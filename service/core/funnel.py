"""How far what was received has come: one place for each thing, and the steps that follow from it.

A thing is one input set, or one received series that is not sorted into input sets. Each is in exactly one
place: under way, or at an end. All counts of the funnel are sums over places, so they add up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Step(StrEnum):
    """What a thing goes through, in this order; whatever reaches one has reached those before it."""

    RECEIVED = "received"
    COMPLETE = "complete"
    ELIGIBLE = "eligible"
    MEASURED = "measured"
    DELIVERED = "delivered"
    CONFIRMED = "confirmed"


STEPS: Final = tuple(Step)


class Place(StrEnum):
    """Where one thing is."""

    #: Its images may still arrive.
    ARRIVING = "arriving"
    #: The series is complete, and no analysis of it counts by itself.
    EMPTY = "empty"
    #: The rules have not chosen yet among the input sets of the study.
    DECIDING = "deciding"
    WAITING = "waiting"
    RUNNING = "running"
    #: Every attempt was lost.
    FAILED = "failed"
    NOT_ELIGIBLE = "not_eligible"
    #: Its content could not be read so far that its eligibility is known.
    UNREADABLE = "unreadable"
    NOT_ASSESSABLE = "not_assessable"
    #: A person took the result back.
    WITHDRAWN = "withdrawn"
    #: Measured, and no peer is to get it.
    NOT_SENT = "not_sent"
    #: An object is kept back until a reviewer accepts the result.
    HELD = "held"
    #: An object waits for a peer or is being sent.
    SENDING = "sending"
    #: An object did not reach a peer, and nobody tries any more.
    GIVEN_UP = "given_up"
    #: Every peer stored every object, and one of them is still to confirm it.
    CONFIRMING = "confirming"
    #: Every peer stored every object, and not all were or could be asked for a confirmation.
    STORED = "stored"
    CONFIRMED = "confirmed"


#: The step that a thing in this place did not reach, or not yet.
MISSED: Final = MappingProxyType(
    {
        Place.ARRIVING: Step.COMPLETE,
        **dict.fromkeys(
            (
                Place.EMPTY,
                Place.DECIDING,
                Place.WAITING,
                Place.RUNNING,
                Place.FAILED,
                Place.NOT_ELIGIBLE,
                Place.UNREADABLE,
            ),
            Step.ELIGIBLE,
        ),
        **dict.fromkeys((Place.NOT_ASSESSABLE, Place.WITHDRAWN), Step.MEASURED),
        **dict.fromkeys((Place.NOT_SENT, Place.HELD, Place.SENDING, Place.GIVEN_UP), Step.DELIVERED),
        **dict.fromkeys((Place.CONFIRMING, Place.STORED), Step.CONFIRMED),
    }
)
#: Places that a thing leaves by itself; the others are ends.
UNDER_WAY: Final = frozenset(
    {Place.ARRIVING, Place.DECIDING, Place.WAITING, Place.RUNNING, Place.SENDING, Place.CONFIRMING}
)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Things in one place for one reason."""

    place: Place
    #: Code of the reason; None where the place says it all.
    reason: str | None
    #: Things among them of which a flag is raised.
    flagged: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Things that did not reach a step, or not yet, for one reason."""

    step: Step
    place: Place
    reason: str | None
    count: int

    @property
    def under_way(self) -> bool:
        """Whether they may still reach it by themselves."""
        return self.place in UNDER_WAY


@dataclass(frozen=True, kw_only=True)
class Funnel:
    """The counts by step, and what was lost between them; a withdrawn result counts up to eligible."""

    received: int
    complete: int
    eligible: int
    measured: int
    #: Of the measured.
    flagged: int
    delivered: int
    confirmed: int
    #: By step, the largest first; what is under way stands last.
    losses: tuple[Loss, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The counts by the name of the step."""
        return {name: value for name, value in vars(self).items() if name != "losses"}

    @property
    def under_way(self) -> int:
        """Things that are not at an end yet."""
        return sum(loss.count for loss in self.losses if loss.under_way)

    def missing(self, step: Step) -> tuple[Loss, ...]:
        """Why not everything reached this step that reached the one before."""
        return tuple(loss for loss in self.losses if loss.step is step)


def build(groups: Iterable[Group]) -> Funnel:
    """The funnel of these groups, each of another place or reason."""
    found = tuple(groups)
    losses = [
        Loss(step=MISSED[group.place], place=group.place, reason=group.reason, count=group.count)
        for group in found
        if group.place in MISSED
    ]
    losses.sort(
        key=lambda one: (STEPS.index(one.step), one.under_way, -one.count, one.place, one.reason or "")
    )
    counts = {step.value: sum(group.count for group in found if reached(group.place, step)) for step in STEPS}
    flagged = sum(group.flagged for group in found if reached(group.place, Step.MEASURED))
    return Funnel(flagged=flagged, losses=tuple(losses), **counts)


def reached(place: Place, step: Step) -> bool:
    """Whether a thing in this place has come as far as this step."""
    missed = MISSED.get(place)
    return missed is None or STEPS.index(step) < STEPS.index(missed)
