"""Images that were received, as rows and as files in a spool."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
from sqlalchemy import select

from service.core.status import AnalysisState
from service.db import ledger, queries, versions
from service.db.ledger import InstanceFacts, StudyFacts
from service.db.session import Sessions
from service.db.tables import Series
from service.dicom.instance import read_identity
from service.dicom.scp import Received
from service.dicom.spool import Spool
from service.pipeline import intake

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def instance(
    number: int = 1, *, series: int = 1, study: int = 1, content: str = "", **changes: Any
) -> InstanceFacts:
    """One image's row."""
    key = f"1.2.3.{study}.{series}.{number}"
    digest = hashlib.sha256((key + content).encode()).hexdigest()
    values: dict[str, Any] = {
        "study": StudyFacts(study_uid=f"1.2.3.{study}", patient_id="P1", patient_name="Doe^Jane"),
        "series_uid": f"1.2.3.{study}.{series}",
        "modality": "MR",
        "series_description": "t2_tse_tra",
        "calling_ae": "SENDER",
        "sop_instance_uid": key,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": f"{digest[:2]}/{digest}.dcm",
        "sha256": digest,
        "size": 100,
    }
    return InstanceFacts(**{**values, **changes})


def set_input(series_id: int, stack: int, digest: str) -> versions.SetInput:
    """One stack alone."""
    return versions.SetInput(stacks=(versions.StackInput(series_id=series_id, stack=stack),), digest=digest)


def ready_analysis(sessions: Sessions, *, digest: str = "d1", now: datetime = NOW) -> int:
    """A series with one image, and one analysis of it that waits."""
    with sessions.begin() as session:
        ledger.record_instance(session, instance(), now=now)
        series = session.execute(select(Series.id, Series.study_id)).one()
        (made,) = versions.make_ready(
            session,
            study_id=series.study_id,
            series_ids=[series.id],
            sets=[set_input(series.id, 0, digest)],
            now=now,
        )
        return made


def measured_result(**changes: Any) -> queries.Result:
    """What an analysis that was measured would publish."""
    values: dict[str, Any] = {
        "state": AnalysisState.MEASURED,
        "finding": {},
        "contrast": None,
        "region": None,
        "flagged": False,
        "reason": None,
        "input_digest": "d1",
        "timings": {},
        "result_path": "r",
    }
    return queries.Result(**{**values, **changes})


def take_in(sessions: Sessions, spool: Spool, paths: Sequence[Path], *, now: datetime = NOW) -> list[str]:
    """Keep and record files as the receiver does; what each became."""
    return [intake.record_instance(sessions, spool, received(spool, path), now=now).value for path in paths]


def received(spool: Spool, path: Path) -> Received:
    """One file, kept as the receiver keeps it."""
    raw, meta = encoded(path)
    syntax = str(meta.TransferSyntaxUID)
    identity = read_identity(raw, syntax)
    kept = spool.keep(
        raw,
        sop_class_uid=identity.sop_class_uid,
        sop_instance_uid=identity.sop_instance_uid,
        transfer_syntax_uid=syntax,
    )
    return Received(identity=identity, transfer_syntax_uid=syntax, calling_ae="SENDER", kept=kept)


def encoded(path: Path) -> tuple[bytes, Any]:
    """The dataset of a file as it is encoded, and the file's meta information."""
    meta = pydicom.filereader.read_file_meta_info(path)
    start = 132 + 12 + meta.FileMetaInformationGroupLength
    return path.read_bytes()[start:], meta
