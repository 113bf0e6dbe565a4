"""The states that a series, an analysis and a delivery can be in."""

from enum import StrEnum
from typing import Final, Literal, get_args

#: In a list of attributes in which images disagree about the person: those of one series do, in whichever.
WITHIN_SERIES: Final = "within a series"


class SeriesState(StrEnum):
    """Where a received series stands."""

    #: Images may still arrive.
    RECEIVING = "receiving"
    #: Complete, for the recorded reason; its input sets have analyses.
    CLOSED = "closed"


class CompletionReason(StrEnum):
    """Why a series was taken to be complete."""

    #: Nothing arrived for the quiet time, and the slice positions have no hole.
    QUIET = "quiet"
    #: The hard cap passed although holes remain or images still arrive.
    HARD_CAP = "hard_cap"
    #: As many images are here as its sender says there are, and the slice positions have no hole.
    COUNTED = "counted"
    #: Every image is here that the scanner says it made (MPPS).
    PERFORMED = "performed"


class StepState(StrEnum):
    """Where a performed procedure step stands, as its scanner says (PS3.3 C.4.14)."""

    IN_PROGRESS = "in_progress"
    #: Ended, and what it made is what it lists.
    COMPLETED = "completed"
    #: Broken off.
    DISCONTINUED = "discontinued"


class Difference(StrEnum):
    """What other bytes under the identifier of an image that is here are to it."""

    #: The same pixels in the same place, of another person, study or series.
    IDENTITY = "identity"
    #: The same pixels in the same place, and nothing that a result depends on.
    SAME_PIXELS = "same_pixels"
    #: Another image.
    CONFLICT = "conflict"
    #: Nobody can tell: compressed in another way, unreadable, or the first is not here any more.
    NOT_COMPARED = "not_compared"
    #: What stood here before an operator had the results reissued.
    REPLACED = "replaced"


class AnalysisState(StrEnum):
    """Where one analysis stands."""

    #: Waiting for a worker.
    READY = "ready"
    #: A worker holds the lease.
    RUNNING = "running"
    #: Finished with measures.
    MEASURED = "measured"
    #: Finished: eligible, but a result is withheld with its reason.
    NOT_ASSESSABLE = "not_assessable"
    #: Finished: outside the intended use.
    NOT_ELIGIBLE = "not_eligible"
    #: Given up after the allowed attempts; kept for a person to look at.
    FAILED = "failed"
    #: A newer analysis of the same input set took its place.
    SUPERSEDED = "superseded"


#: States in which no worker will touch the row again by itself.
TERMINAL = frozenset(
    {
        AnalysisState.MEASURED,
        AnalysisState.NOT_ASSESSABLE,
        AnalysisState.NOT_ELIGIBLE,
        AnalysisState.FAILED,
        AnalysisState.SUPERSEDED,
    }
)


class DeliveryState(StrEnum):
    """Where one object stands on its way to one peer."""

    #: Kept back until a reviewer accepts the result.
    HELD = "held"
    #: Waiting for its turn (or for its next try).
    PENDING = "pending"
    #: A worker is sending it.
    SENDING = "sending"
    #: The peer answered with a status that means stored.
    SENT = "sent"
    #: The peer was asked afterwards and has it.
    CONFIRMED = "confirmed"
    #: Given up; a person can retry it.
    DEAD = "dead"


class CommitmentState(StrEnum):
    """Where a sender's request for storage commitment stands."""

    #: The sender has not heard from us yet.
    OPEN = "open"
    #: The sender took our report.
    ANSWERED = "answered"
    #: The sender did not take our report in all the tries; it may ask again.
    GIVEN_UP = "given_up"


#: Why a person takes a result back.
WithdrawalReason = Literal["wrong_drawing", "wrong_patient", "wrong_images", "software_fault", "other"]
WITHDRAWAL_REASONS: Final[tuple[WithdrawalReason, ...]] = get_args(WithdrawalReason)


#: Characters of what somebody writes to a withdrawal, a review or a flag; chosen by us: some sentences.
LONGEST_COMMENT: Final = 500

#: What a reviewer says of the drawing of a result: right, right but for little things, or not to be used.
Verdict = Literal["accept", "minor", "reject"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
#: With these the result may go to the peers that wait for a review.
ACCEPTING: Final[frozenset[Verdict]] = frozenset({"accept", "minor"})

#: What somebody does about the raised flags of a result.
FlagStep = Literal["acknowledge", "dismiss", "hand_over", "comment", "reopen"]
FLAG_STEPS: Final[tuple[FlagStep, ...]] = get_args(FlagStep)


class Handling(StrEnum):
    """Where the raised flags of a result stand on the worklist."""

    #: Nobody did anything about them yet, or somebody opened them again.
    OPEN = "open"
    #: Somebody was asked to look.
    HANDED_OVER = "handed_over"
    #: Somebody has seen them.
    ACKNOWLEDGED = "acknowledged"
    #: Somebody found that they say nothing, with a reason.
    DISMISSED = "dismissed"


#: Where a step leaves the flags; a comment leaves them where they are.
LEADS_TO: Final[dict[FlagStep, Handling]] = {
    "acknowledge": Handling.ACKNOWLEDGED,
    "dismiss": Handling.DISMISSED,
    "hand_over": Handling.HANDED_OVER,
    "reopen": Handling.OPEN,
}


class BackfillOutcome(StrEnum):
    """What became of a line of the back-fill."""

    PULLED = "pulled"
    #: As many images as the peer has were here already.
    HERE = "already_here"
    #: The peer has no such study, or no MR in it.
    NOTHING = "nothing_there"
    #: The patient is on the opt-out list; nothing was fetched.
    OPTED_OUT = "opted_out"
    #: The peer does not want to.
    REFUSED = "refused"
    #: After all tries.
    FAILED = "failed"
    #: An accession number: its studies are lines of their own now.
    RESOLVED = "resolved"


class OutputKind(StrEnum):
    """The objects a result consists of."""

    SEG = "SEG"
    SR = "SR"
    SC = "SC"
    PDF = "PDF"
    #: Outlines and texts over the source images.
    GSPS = "GSPS"
    #: The rejection note of a withdrawn object.
    KOS = "KOS"


#: What is sent for each outcome: a withheld result is told, a series outside the intended use is not.
SENT: Final = {
    AnalysisState.MEASURED: frozenset(OutputKind),
    AnalysisState.NOT_ASSESSABLE: frozenset({OutputKind.SR, OutputKind.SC}),
    AnalysisState.NOT_ELIGIBLE: frozenset[OutputKind](),
}
