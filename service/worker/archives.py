"""The peers that past studies may be fetched from."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from service.db.session import Sessions
from service.dicom.retrieving import Archive
from service.dicom.spool import Spool
from service.errors import ConfigurationError
from service.pipeline import filing
from service.pipeline.backfill import Source
from service.settings import Peer, Settings
from service.wire.dicomweb import WebAddress
from service.wire.retrieve import WebArchive
from service.worker.main import address_of


def archives(settings: Settings, sessions: Sessions) -> Mapping[str, Source]:
    """Every peer that can be asked, by name: by DICOMweb where it has ``stow_url``, else by DIMSE."""
    spool = Spool(
        settings.spool_dir, min_free_mb=settings.spool_min_free_mb, resume_free_mb=settings.resume_free_mb
    )
    way_in = filing.files(sessions, spool, largest_bytes=settings.max_instance_mb * 1_000_000)
    asked = [peer for peer in settings.peer if peer.port is not None or peer.stow_url is not None]
    return {peer.name: _archive(peer, settings, way_in) for peer in asked}


def _archive(peer: Peer, settings: Settings, way_in: filing.Files) -> Source:
    address = address_of(peer, settings)
    if isinstance(address, WebAddress):
        return WebArchive(
            address=address,
            begin=lambda study_uid: way_in.begin(sender=peer.ae_title, only_study=study_uid),
        )
    return Archive(address=address, destination=settings.ae_title)


def days(first: date, last: date) -> Iterator[str]:
    """Every day from the first to the last, as DICOM writes it; raises ConfigurationError."""
    if last < first:
        raise ConfigurationError("The last day is before the first.", reason="bad_days")
    for number in range((last - first).days + 1):
        yield f"{first + timedelta(days=number):%Y%m%d}"
