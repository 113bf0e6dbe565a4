"""The shapes of rules and of the opt-out list in the REST interface."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.web.schemas import Order, Shape


class RuleShape(Shape):
    """One rule: when it holds, and what follows."""

    name: str
    skip: bool
    when: list[str]
    prefer: list[str]
    reason: str


class RulesShape(Shape):
    """The rules in force."""

    id: str
    version: str
    sha256: str
    take: Literal["all", "first"]
    rules: list[RuleShape]


class OptOutOrder(Order):
    """Whose images are not to be analysed; an empty issuer stands for any."""

    patient_id: str = Field(min_length=1, max_length=64)
    issuer: str = Field(default="", max_length=64)
    reason: str = Field(default="", max_length=256)


class OptOutEnd(Order):
    """Whose images may be analysed again, given as they were put on the list."""

    patient_id: str = Field(min_length=1, max_length=64)
    issuer: str = Field(default="", max_length=64)


class OptOutChanged(Shape):
    """Whether the list is another one now."""

    changed: bool


class OptOutShape(Shape):
    """One line of the opt-out list; it does not say who."""

    id: int
    one_issuer: bool
    reason: str
    actor: str
    at: datetime


class OptOutList(Shape):
    """The opt-out list, newest first."""

    items: list[OptOutShape]
    next_cursor: str | None
