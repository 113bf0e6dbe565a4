"""The shapes of reviews and of the worklist of raised flags in the REST interface."""

from datetime import datetime

from pydantic import Field

from service.core.status import LONGEST_COMMENT, FlagStep, Handling, Verdict
from service.web.schemas import FlagShape, Shape


class ReviewOrder(Shape):
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


class ReviewSummary(Shape):
    """What waits for a review, and what the reviews so far say."""

    waiting: list[int]
    next_cursor: str | None
    tallies: list[TallyShape]
    agreement: AgreementShape


class StepOrder(Shape):
    """What somebody does about the raised flags of a result."""

    step: FlagStep
    comment: str = Field(default="", max_length=LONGEST_COMMENT)
    to_user: str = Field(default="", max_length=64)


class StepShape(Shape):
    """One step about the raised flags of a result."""

    step: FlagStep
    to_user: str | None
    comment: str
    actor: str
    at: datetime


class StepList(Shape):
    """Steps about one result, newest first."""

    items: list[StepShape]


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
