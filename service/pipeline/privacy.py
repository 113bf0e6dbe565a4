"""The verbs of data protection: hand out everything about one patient, and erase it.

What peers were sent is theirs; backups and the opt-out list (which keeps no patient ID) are not touched.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from service.db import patients
from service.db.optouts import Key
from service.db.patients import Patient, StudyOf
from service.db.people import record
from service.db.session import Session, Sessions, reading
from service.errors import InvalidRequest
from service.files import make_private_dir, own_secret, within, write_atomically
from service.pipeline import retention

#: Below HOME: names patients in the audit record, so that it need not change when somebody is erased.
KEY_NAME: Final = "privacy.key"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was handed out."""

    studies: int
    rows: int
    files: int
    #: Studies that name other patients too, which were left out.
    left: int


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What was erased, and why something was not, by code."""

    studies: int
    #: Studies of others that stay, without what was set aside of the patient.
    beside: int
    left: Mapping[str, int]


def export(
    sessions: Sessions,
    home: Path,
    patient: Patient,
    out: Path,
    *,
    shared: bool = False,
    actor: str,
    now: datetime,
) -> Exported:
    """Copy every row, image and result of a patient into a new or empty folder.

    Of a study of others there is only what was set aside of the patient; one whose images name other
    patients too is left out, unless ``shared``. Raises InvalidRequest where the folder is not empty, and
    where nothing is here of the patient.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidRequest("The folder is not empty.", reason="not_empty")
    found = _studies(sessions, patient)
    taken = [study for study in found if shared or study.beside or not study.shared]
    make_private_dir(out)
    rows = files = 0
    for number, study in enumerate(taken, start=1):
        folder = make_private_dir(out / f"study-{number}")
        told, images, results = _read(sessions, study, patient)
        write_atomically(folder / "rows.json", json.dumps(told, indent=1, ensure_ascii=False).encode())
        rows += sum(len(each) for each in told.values())
        files += sum(_copy(home / "spool", path, folder / "images") for path in images)
        files += sum(_copy(home, path, folder / "results") for path in results)
        with sessions.begin() as session:
            _audit(session, home, patient, "patient_exported", study.id, actor=actor, now=now)
    return Exported(studies=len(taken), rows=rows, files=files, left=len(found) - len(taken))


def _read(
    sessions: Sessions, study: StudyOf, patient: Patient
) -> tuple[dict[str, list[dict[str, Any]]], list[str], list[str]]:
    """Rows by table, paths of images below the spool, and folders of results below HOME."""
    with reading(sessions) as session:
        if study.beside:
            aside = patients.aside_of(session, study.id, patient)
            return {"set_aside": [patients.as_dict(row) for row in aside]}, [row.path for row in aside], []
        told = dict(patients.rows_of(session, study.id))
        return told, patients.image_paths(session, study.id), patients.result_paths(session, study.id)


def erase(
    sessions: Sessions,
    home: Path,
    patient: Patient,
    *,
    shared: bool = False,
    actor: str,
    now: datetime,
) -> Erased:
    """Take away every study of a patient, whatever is kept for how long; only the audit record stays.

    Of a study of others only what was set aside of the patient goes. A study on legal hold, one that is under
    way, and (unless ``shared``) one whose images name other patients too, is left, and counted by its reason.
    Raises InvalidRequest where nothing is here of the patient.
    """
    left: Counter[str] = Counter()
    gone: Counter[bool] = Counter()
    for study in _studies(sessions, patient):
        why = "names_others" if study.shared and not (shared or study.beside) else None
        if why is None:
            act = _erase_aside if study.beside else _erase_study
            why = act(sessions, home, patient, study, actor=actor, now=now)
        if why is None:
            gone[study.beside] += 1
        else:
            left[why] += 1
    return Erased(studies=gone[False], beside=gone[True], left=left)


def _erase_study(
    sessions: Sessions, home: Path, patient: Patient, study: StudyOf, *, actor: str, now: datetime
) -> str | None:
    """Take a whole study away; a code of why not."""
    folders: list[str] = []
    with sessions.begin() as session:
        why = patients.why_not(session, study.id)
        if why is None:
            # Said before, so that the record has it whatever becomes of this process.
            _audit(session, home, patient, "patient_erased", study.id, actor=actor, now=now)
            folders = patients.result_folders(session, study.id)
    if why is None and not retention.remove_study(sessions, home, study.id, now=now):
        why = "maintenance"
    for folder in folders if why is None else ():
        # Also what an attempt left that never became a result.
        shutil.rmtree(within(home, folder), ignore_errors=True)
    return why


def _erase_aside(
    sessions: Sessions, home: Path, patient: Patient, study: StudyOf, *, actor: str, now: datetime
) -> str | None:
    """Take away what was set aside of a patient in a study of others; a code of why not."""
    with sessions.begin() as session:
        why = patients.let_aside_go(session, study.id, patient, now=now)
        if why is None:
            _audit(session, home, patient, "patient_erased", study.id, actor=actor, now=now)
    if why is None and not retention.remove_aside(sessions, home):
        why = "maintenance"
    return why


def _studies(sessions: Sessions, patient: Patient) -> list[StudyOf]:
    """What names the patient; raises InvalidRequest where nothing does."""
    _require_id(patient)
    with reading(sessions) as session:
        found = patients.studies_of(session, patient)
    if not found:
        raise InvalidRequest("Nothing is here of this patient.", reason="unknown_patient")
    return found


def _require_id(patient: Patient) -> None:
    if not patient.id.strip():
        raise InvalidRequest("No patient ID was given.", reason="patient_id_missing")


def _copy(root: Path, relative: str, into: Path) -> int:
    """Copy a file, or a folder with what is in it; how many files. What is gone is passed over."""
    source = within(root, relative)
    target = into / relative
    if source.is_dir():
        make_private_dir(target.parent)
        shutil.copytree(source, target)
        return sum(1 for path in target.rglob("*") if path.is_file())
    if not source.is_file():
        return 0
    make_private_dir(target.parent)
    shutil.copy2(source, target)
    return 1


def _audit(
    session: Session, home: Path, patient: Patient, action: str, study_id: int, *, actor: str, now: datetime
) -> None:
    """Who did it, to which study; the patient is named by a keyed hash alone."""
    key = Key(own_secret(home / KEY_NAME))
    record(
        session,
        at=now,
        actor=actor,
        action=action,
        object_type="study",
        object_id=study_id,
        detail={"patient": key.patient(patient.id)},
    )
