"""The shapes of orders in the REST interface."""

from pydantic import Field

from service.core.status import LONGEST_COMMENT, WithdrawalReason
from service.web.schemas import HoldShape, Order, Shape


class HoldList(Shape):
    """Holds, by the order in which their studies came."""

    items: list[HoldShape]
    next_cursor: str | None


class HoldOrder(Order):
    """Why a study is to be kept."""

    reason: str = Field(min_length=1, max_length=256)


class WithdrawalOrder(Order):
    """Why a result is taken back."""

    reason: WithdrawalReason
    #: Stands in the events of the analysis only.
    comment: str = Field(default="", max_length=LONGEST_COMMENT)


class Accepted(Shape):
    """What was asked for is in the ledger; a worker takes it from there."""

    id: int
    state: str
    href: str
