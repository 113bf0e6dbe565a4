"""The shapes of what is in force, and of what was activated, in the REST interface."""

from datetime import datetime

from pydantic import Field

from service.core.activation import LONGEST_NAME, LONGEST_REASON, ActivationState, Kind
from service.web.schemas import Order, Shape


class ActivationOrder(Order):
    """What is to be put into force; reference tables with commas between."""

    kind: Kind
    name: str = Field(max_length=LONGEST_NAME, pattern=r"^[A-Za-z0-9_., -]*$")
    reason: str = Field(default="", max_length=LONGEST_REASON)


class ActivationReason(Order):
    """Why."""

    reason: str = Field(default="", max_length=LONGEST_REASON)


class PieceShape(Shape):
    """One file, by its place in the models folder."""

    path: str
    sha256: str


class ActivationShape(Shape):
    """One line of what was put into force, or was to be."""

    id: int
    kind: Kind
    name: str
    version: str
    sha256: str
    pieces: list[PieceShape]
    state: ActivationState
    asked_by: str
    asked_at: datetime
    reason: str
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str
    holds_from: datetime | None
    held_until: datetime | None
    #: Of a roll back: the earlier line that it put into force again.
    restores_id: int | None


class EarlierShape(Shape):
    """What a roll back goes to."""

    id: int
    name: str
    version: str


class InForceShape(Shape):
    """What of one kind is in force; without a line where no worker has recorded the settings yet."""

    kind: Kind
    name: str
    activation: ActivationShape | None
    #: Whether its files are those that were activated; where not, analyses wait.
    unchanged: bool
    code: str | None = None
    text: str | None = None
    back_to: EarlierShape | None = None


class ActivationList(Shape):
    """What is in force, and every activation and proposal, newest first."""

    second_person: bool
    in_force: list[InForceShape]
    proposed: list[ActivationShape]
    items: list[ActivationShape]
    next_cursor: str | None
