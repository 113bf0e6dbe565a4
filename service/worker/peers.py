"""What the settings of a peer mean for the objects that it gets."""

from service.core.variant import Variant
from service.settings import Peer


def variant_of(peer: Peer) -> Variant:
    """How the objects for it are made."""
    return Variant(
        language=peer.language,
        flags=peer.flags,
        encoding=peer.profile,
        sr_class=peer.sr_class,
        sr_form=peer.sr_form,
    )
