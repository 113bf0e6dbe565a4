"""The shapes of reviews and of the worklist of raised flags in the REST interface."""

from datetime import datetime

from pydantic import Field

from service.core.status import LONGEST_COMMENT, FlagStep, Handling, Verdict
from service.web.schemas import FlagShape, Order, Shape


class ReviewOrder(Order):
    """What a reader says of the drawing of a result."""

    verdict: Verdict
    comment: str = Field(default="", max_length=LONGEST_COMMENT)


class ReviewShape(Shape):
    """What one reader said of one result."""

    id: int
    analysis_id: int
    verdict: Verdict
    comment: str
    actor: str
    at: datetime


class ReviewList(Shape):
    """Reviews of one result, newest first; the first one holds."""

    accepted: bool
    items: list[ReviewShape]
    next_cursor: str | None


class Reviewed(Shape):
    """What a review set going."""

    id: int
    verdict: Verdict
    #: Deliveries that were held and go now.
    deliveries: int
    #: Whether the result is withdrawn by it.
    withdrawn: bool
    href: str


class TallyShape(Shape):
    """How often readers said what, of one network and contrast."""

    network: str
    contrast: str
    counts: dict[Verdict, int]
    total: int


class AgreementShape(Shape):
    """Results that several readers rated: pairs of readers, and pairs that said the same."""

    results: int
    pairs: int
    same: int


class OverlapShape(Shape):
    """Dice of one segment over many cases."""

    segment: str
    cases: int
    mean: float
    lowest: float


class SpreadShape(Shape):
    """Edited minus automatic over many cases: bias, and limits of agreement, null for few cases."""

    measure: str
    unit: str
    cases: int
    bias: float
    low: float | None
    high: float | None


class EditAgreementShape(Shape):
    """How far drawings of one network and those that people made of them agree, in one contrast."""

    network: str
    contrast: str
    cases: int
    overlaps: list[OverlapShape]
    spreads: list[SpreadShape]


class EditShape(Shape):
    """One segmentation that came back edited; ``outcome`` is "taken", the code of the reason, or null."""

    id: int
    received_at: datetime
    peer: str
    outcome: str | None
    reason_text: str | None
    analysis_id: int | None
    corrects_id: int | None


class ReviewSummary(Shape):
    """What waits for a review, what the reviews so far say, and what came back edited."""

    waiting: list[int]
    next_cursor: str | None
    tallies: list[TallyShape]
    agreement: AgreementShape
    edited: list[EditAgreementShape]
    edits: list[EditShape]


class StepOrder(Order):
    """What somebody does about the raised flags of a result."""

    step: FlagStep
    comment: str = Field(default="", max_length=LONGEST_COMMENT)
    to_user: str = Field(default="", max_length=64)


class StepShape(Shape):
    """One step about the raised flags of a result."""

    id: int
    step: FlagStep
    to_user: str | None
    comment: str
    actor: str
    at: datetime


class StepList(Shape):
    """Steps about one result, newest first."""

    items: list[StepShape]
    next_cursor: str | None


class WorklistItem(Shape):
    """One result with a raised flag."""

    analysis_id: int
    finished_at: datetime | None
    contrast: str | None
    flags: list[FlagShape]
    handling: Handling
    step: FlagStep | None
    to_user: str | None
    actor: str | None
    at: datetime | None


class Worklist(Shape):
    """Results with a raised flag, newest first, and how many stand where."""

    counts: dict[Handling, int]
    items: list[WorklistItem]
    next_cursor: str | None
