"""What a peer gets that does not take the class of a segmentation or of a report: the whole set, plainer."""

from collections.abc import Sequence
from datetime import datetime

from service.core.answers import Answer
from service.core.variant import Variant
from service.db import circuits, deliveries
from service.db.session import Session

#: PS3.7 C.5.6, and a failure reason of STOW-RS (PS3.18 table 10.5.3-2).
CLASS_NOT_SUPPORTED = 0x0122


def variant_for(session: Session, peer: str, wanted: Variant, analysis_id: int) -> Variant:
    """The variant that a peer gets of a result now: its own, or a plainer one where it refused that.

    Where the plainer one was not made of this result, its own: some of that it takes.
    """
    plainer = wanted.without(circuits.refused(session, peer))
    made = deliveries.outputs_of(session, analysis_id, plainer.name)
    return plainer if made else wanted


def refusable_of(session: Session, variant: Variant, analysis_id: int) -> tuple[str, ...]:
    """What a peer may refuse of a result because it was made without that too."""
    return tuple(
        part
        for part in variant.refusable
        if deliveries.outputs_of(session, analysis_id, variant.without([part]).name)
    )


def takes_no_class(answer: Answer, code: str) -> bool:
    """Whether the peer takes no object of this class, said by the context or for the object."""
    return code == "context_refused" or answer.status == CLASS_NOT_SUPPORTED


def fall_back(
    session: Session,
    analysis_id: int,
    *,
    peer: str,
    wanted: Variant,
    parts: Sequence[str],
    kinds: Sequence[str],
    now: datetime,
) -> dict[str, object] | None:
    """Give a peer that refuses these parts the plainer variant, of this result and of all further ones.

    The whole set changes, because the report names the segmentation, and the document the report. What is
    to be told of it; None where it was known of the peer.
    """
    first = circuits.note_refused(session, peer, parts, now=now)
    plainer = variant_for(session, peer, wanted, analysis_id)
    new = deliveries.replan(session, analysis_id, peer=peer, variant=plainer.name, kinds=kinds, now=now)
    told = {"peer": peer, "refused": list(parts), "variant": plainer.name, "objects": len(new)}
    return told if first else None
