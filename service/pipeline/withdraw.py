"""The verb "withdraw": whoever was sent objects of a withdrawn result is told, once.

For each variant that a peer was sent: a report that takes the place of the report, and a rejection note.
Both have the same identifiers and bytes whenever they are made, so that a crash between files and rows does
no harm.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import service
from service import files
from service.core.language import ENGLISH, IN, Words
from service.core.variant import SR_CLASS_UIDS
from service.db import withdrawals
from service.db.deliveries import OutputFacts
from service.db.session import Sessions, reading
from service.db.withdrawals import Withdrawal, WithdrawnSet
from service.dicom.identity import ObjectIdentity, Written, fingerprint

log = logging.getLogger(__name__)

#: Beside the folder of the result itself.
FOLDER = "withdrawal"
#: Why the peers cannot be told.
PURGED, MISSING = "results_purged", "files_missing"


def tell_peers(
    sessions: Sessions, home: Path, *, preferred: Mapping[str, str], clock: Callable[[], datetime]
) -> int:
    """Tell the peers of every withdrawn result of which they do not know; how many deliveries now wait.

    ``preferred`` is the variant that each peer is meant to get. One result's trouble stops no other.
    """
    with reading(sessions) as session:
        waiting = withdrawals.untold(session)
    planned = 0
    for analysis_id in waiting:
        try:
            planned += _tell(sessions, home, analysis_id, preferred=preferred, clock=clock)
        except Exception:  # It is tried again with the next sweep.
            log.exception("withdrawal_not_told", extra={"analysis_id": analysis_id})
    return planned


def _tell(
    sessions: Sessions,
    home: Path,
    analysis_id: int,
    *,
    preferred: Mapping[str, str],
    clock: Callable[[], datetime],
) -> int:
    """Make the objects of one withdrawal, then write them down."""
    with reading(sessions) as session:
        withdrawal = withdrawals.read(session, analysis_id, preferred=preferred)
    if withdrawal is None:
        return 0
    made: dict[str, list[OutputFacts]] = {}
    failure = PURGED if withdrawal.sets and withdrawal.purged else None
    try:
        for each in withdrawal.sets if failure is None else ():
            made[each.variant] = _make(withdrawal, each, home)
    except FileNotFoundError:
        made, failure = {}, MISSING
    with sessions.begin() as session:
        planned = withdrawals.tell(session, withdrawal, made, now=clock(), failure=failure)
    log.info("withdrawal_told", extra={"analysis_id": analysis_id, "count": planned, "code": failure})
    return planned


def _make(withdrawal: Withdrawal, each: WithdrawnSet, home: Path) -> list[OutputFacts]:
    """Write the report and the rejection note of one variant, durable; raises FileNotFoundError."""
    # Withdrawals are rare, and the libraries that they are made with are large.
    from service.dicom.rejection import write_rejection_note, write_withdrawal_sr  # noqa: PLC0415

    report = files.within(home, each.report_path)
    sent = [files.within(home, path) for path in each.sent_paths]
    if not all(path.is_file() for path in (report, *sent)):
        raise FileNotFoundError
    digest = fingerprint(FOLDER, each.report_uid)
    identity = ObjectIdentity(mask_digest=digest, report_digest=digest, at=withdrawal.at)
    words = _words(each.variant)
    folder = files.make_private_dir(home / "results" / str(withdrawal.analysis_id) / FOLDER)
    suffix = f".{each.variant}" if each.variant else ""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=files.PART) as desk:
        told = write_withdrawal_sr(
            report,
            reason=withdrawal.reason,
            software=f"myoscreen {service.__version__}",
            identity=identity,
            path=Path(desk) / f"sr{suffix}.dcm",
            sr_class=next(name for name, uid in SR_CLASS_UIDS.items() if uid == each.report_class_uid),
            words=words,
        )
        note = write_rejection_note(
            sent,
            reason=withdrawal.reason,
            identity=identity,
            path=Path(desk) / f"note{suffix}.dcm",
            words=words,
        )
        # One file takes the place of the other in a step: another worker may be sending it already.
        for written in (told, note):
            files.write_atomically(folder / written.path.name, written.path.read_bytes())
    return [_output(written, folder, each, home) for written in (told, note)]


def _words(variant: str) -> Words:
    """The language of a variant; its name begins with it."""
    language = variant.split("-", maxsplit=1)[0]
    return next((words for known, words in IN.items() if known == language), ENGLISH)


def _output(written: Written, folder: Path, each: WithdrawnSet, home: Path) -> OutputFacts:
    return OutputFacts(
        kind=written.kind,
        sop_class_uid=written.sop_class_uid,
        sop_instance_uid=written.sop_instance_uid,
        path=str((folder / written.path.name).relative_to(home)),
        sha256=written.sha256,
        size=written.size,
        variants=(each.variant,) if each.variant else (),
        withdrawal=True,
    )
