"""What the listener takes: classes, the syntaxes of their datasets, and roles."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pynetdicom import AllStoragePresentationContexts

from service.dicom.association import Offer
from service.dicom.performed import PERFORMED_STEP
from service.dicom.reporting import STORAGE_COMMITMENT
from service.dicom.storing import MR_CLASSES, RESULT_CLASSES

VERIFICATION: Final = "1.2.840.10008.1.1"
#: Everything that a decoder is installed for (PS3.5, 8 and Annex A).
TRANSFER_SYNTAXES: Final = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.1.99",  # Deflated
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K Lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
)


def make_offer(*, reports: bool, asks: bool, performs: bool = False) -> Offer:
    """Verification, and every storage class: what is not wanted is answered, not left hanging.

    ``reports``: the caller may be the provider of storage commitment; ``asks``: its user. ``performs``: it
    may tell of performed procedure steps.
    """
    storage = _storage_classes()
    syntaxes = dict.fromkeys(storage, frozenset(TRANSFER_SYNTAXES))
    syntaxes[VERIFICATION] = frozenset(TRANSFER_SYNTAXES[:3])
    if reports or asks:
        syntaxes[STORAGE_COMMITMENT] = frozenset(TRANSFER_SYNTAXES[:3])
    if performs:
        syntaxes[PERFORMED_STEP] = frozenset(TRANSFER_SYNTAXES[:3])
    commitment = frozenset({STORAGE_COMMITMENT})
    return Offer(
        syntaxes=syntaxes,
        provided_by_peer=commitment if reports else frozenset(),
        only_provided_by_peer=frozenset() if asks else commitment,
    )


def for_discarding(offer: Offer) -> Offer:
    """The offer to a caller whose unwanted objects are taken and thrown away: of any storage class."""
    return replace(offer, unlisted_storage=frozenset(TRANSFER_SYNTAXES))


def _storage_classes() -> Iterable[str]:
    """Every storage class that is known."""
    return {str(context.abstract_syntax) for context in AllStoragePresentationContexts} | (
        MR_CLASSES | RESULT_CLASSES
    )
