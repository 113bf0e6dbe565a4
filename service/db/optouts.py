"""Statements about patients whose images are not analysed.

Who they are is kept as keyed hashes only: HMAC-SHA-256 (RFC 2104) of the patient ID, by a key that lies in
HOME and not in the database. Patient IDs are short, so a hash without a key could be guessed.
"""

import hashlib
import hmac
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import CompoundSelect, delete, exists, or_, select
from sqlalchemy.orm import Session

from service.core.status import Difference
from service.db.ledger import insert_unless_there
from service.db.people import record
from service.db.tables import Analysis, OptOut, Series, SetAside, Study
from service.errors import ConfigurationError, InvalidRequest
from service.files import find_secret, own_secret

#: Below HOME.
KEY_NAME: Final = "opt-out.key"
LONGEST_REASON: Final = 256

#: Patient ID, and who gave it (empty where that is not known).
Identity = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class OptOutFacts:
    """One line of the list; it does not say who."""

    id: int
    #: Whether it holds for the patient ID of one issuer only.
    one_issuer: bool
    reason: str
    actor: str
    at: datetime


class Key:
    """Makes the hashes that stand in the list."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.made_with = hashlib.sha256(secret).hexdigest()[:16]

    def patient(self, patient_id: str) -> str:
        """The hash of a patient ID."""
        return self._hash("patient", patient_id)

    def issuer(self, issuer: str) -> str:
        """The hash of an issuer; empty for none."""
        return self._hash("issuer", issuer) if issuer.strip() else ""

    def _hash(self, what: str, text: str) -> str:
        return hmac.new(self._secret, f"{what}\x1f{plain(text)}".encode(), hashlib.sha256).hexdigest()


def plain(text: str) -> str:
    """A patient ID or issuer to compare by: case, outer spaces and the form of letters tell nobody apart.

    Chosen by us: an opt-out or an erasure that overlooks somebody weighs more than one that reaches too far.
    """
    return unicodedata.normalize("NFKC", text).strip().casefold()


def add(
    session: Session,
    home: Path,
    identity: Identity,
    *,
    reason: str,
    actor: str,
    now: datetime,
    address: str | None = None,
) -> bool:
    """Put a patient on the list; False where he or she is on it already. Raises InvalidRequest."""
    patient_id, issuer = identity
    if not patient_id.strip():
        raise InvalidRequest("An opt-out needs a patient ID.", reason="patient_id_missing")
    if len(reason) > LONGEST_REASON:
        raise InvalidRequest(f"A reason has at most {LONGEST_REASON} characters.", reason="too_long")
    key = _key(session, home, make=True)
    row = {
        "patient_key": key.patient(patient_id),
        "issuer_key": key.issuer(issuer),
        "made_with": key.made_with,
        "reason": reason.strip(),
        "actor": actor[:80],
        "at": now,
    }
    made = insert_unless_there(session, OptOut, row)
    if made is not None:
        _audit(session, "opt_out_added", made, actor=actor, now=now, address=address)
    return made is not None


def remove(
    session: Session,
    home: Path,
    identity: Identity,
    *,
    actor: str,
    now: datetime,
    address: str | None = None,
) -> bool:
    """Take a patient off the list, as it was written; False where it is not there."""
    if not _any(session):
        return False
    key = _key(session, home, make=False)
    patient_id, issuer = identity
    found = session.scalar(
        select(OptOut.id).where(
            OptOut.patient_key == key.patient(patient_id), OptOut.issuer_key == key.issuer(issuer)
        )
    )
    return found is not None and remove_line(session, found, actor=actor, now=now, address=address)


def remove_line(
    session: Session, line_id: int, *, actor: str, now: datetime, address: str | None = None
) -> bool:
    """Take one line off the list; False where there is none."""
    gone = session.scalar(delete(OptOut).where(OptOut.id == line_id).returning(OptOut.id))
    if gone is not None:
        _audit(session, "opt_out_removed", gone, actor=actor, now=now, address=address)
    return gone is not None


def _audit(
    session: Session, action: str, line_id: int, *, actor: str, now: datetime, address: str | None
) -> None:
    record(
        session,
        at=now,
        actor=actor,
        action=action,
        object_type="opt_out",
        object_id=line_id,
        address=address,
    )


def lines(session: Session, *, before: int | None = None, limit: int | None = None) -> list[OptOutFacts]:
    """The list, newest first, from below the line of that number."""
    statement = select(OptOut).order_by(OptOut.id.desc()).limit(limit)
    rows = session.scalars(statement if before is None else statement.where(OptOut.id < before))
    return [
        OptOutFacts(id=row.id, one_issuer=bool(row.issuer_key), reason=row.reason, actor=row.actor, at=row.at)
        for row in rows
    ]


def lists_any(session: Session, home: Path, identities: Iterable[Identity]) -> bool:
    """Whether one of these is on the list.

    A line without an issuer holds for every issuer, and any line for a patient ID of an unknown issuer.
    Raises ConfigurationError where the key of the list is lost: then nobody can say who is on it.
    """
    named = [identity for identity in identities if identity[0].strip()]
    if not named or not _any(session):
        return False
    key = _key(session, home, make=False)
    keys = [(key.patient(patient_id), key.issuer(issuer)) for patient_id, issuer in named]
    listed: dict[str, set[str]] = defaultdict(set)
    for row in session.execute(
        select(OptOut.patient_key, OptOut.issuer_key).where(
            OptOut.patient_key.in_([patient for patient, _ in keys])
        )
    ):
        listed[row.patient_key].add(row.issuer_key)
    return any(_covers(listed.get(patient, set()), issuer) for patient, issuer in keys)


def _any(session: Session) -> bool:
    return bool(session.scalar(select(exists().where(OptOut.id.is_not(None)))))


def lists_study(session: Session, home: Path, study_id: int) -> bool:
    """Whether a study is of a patient on the list, by what it or one of its series says."""
    return lists_any(session, home, _identities(session, study_id))


def listed_studies(session: Session, home: Path) -> frozenset[int]:
    """Every study of a patient on the list."""
    if not _any(session):
        return frozenset()
    key = _key(session, home, make=False)
    listed: dict[str, set[str]] = defaultdict(set)
    for row in session.execute(select(OptOut.patient_key, OptOut.issuer_key)):
        listed[row.patient_key].add(row.issuer_key)
    return frozenset(
        study_id
        for study_id, patient_id, issuer in session.execute(_named())
        if patient_id.strip() and _covers(listed.get(key.patient(patient_id), set()), key.issuer(issuer))
    )


def _covers(listed: Collection[str], issuer_key: str) -> bool:
    """Whether lines for these issuers hold for a patient ID of this one; empty: any, or not known."""
    return bool(listed) and ("" in listed or not issuer_key or issuer_key in listed)


def lists_analysis(session: Session, home: Path, analysis_id: int) -> bool:
    """Whether an analysis is of a patient on the list."""
    study_id = session.scalar(select(Analysis.study_id).where(Analysis.id == analysis_id))
    return study_id is not None and lists_study(session, home, study_id)


def _identities(session: Session, study_id: int) -> Sequence[Identity]:
    """Everybody whom the images of a study name."""
    return [(patient_id, issuer) for _, patient_id, issuer in session.execute(_named(study_id))]


def _named(study_id: int | None = None) -> CompoundSelect[int, str, str]:
    """Study, patient ID and issuer of all that images name, those too that wait beside the first of them.

    Nobody has said yet which identity is right. What a person had replaced is of nobody any more.
    """
    study = select(Study.id, Study.patient_id, Study.issuer_of_patient_id)
    series = select(Series.study_id, Series.patient_id, Series.issuer_of_patient_id)
    beside = (
        select(Series.study_id, SetAside.patient_id, SetAside.issuer_of_patient_id)
        .join(Series, Series.id == SetAside.series_id)
        .where(
            SetAside.leaves_at.is_(None),
            or_(SetAside.difference.is_(None), SetAside.difference != Difference.REPLACED),
        )
    )
    if study_id is not None:
        study, series = study.where(Study.id == study_id), series.where(Series.study_id == study_id)
        beside = beside.where(Series.study_id == study_id)
    return study.union(series, beside)


def _key(session: Session, home: Path, *, make: bool) -> Key:
    """The key in HOME, made with the first line of the list; raises ConfigurationError where it is lost."""
    made_with = session.scalars(select(OptOut.made_with).distinct()).all()
    secret = own_secret(home / KEY_NAME) if make and not made_with else find_secret(home / KEY_NAME)
    key = None if secret is None else Key(secret)
    if key is None or any(each != key.made_with for each in made_with):
        raise ConfigurationError(
            f"The key of the opt-out list, {KEY_NAME} in HOME, is not the one that the list was made with: "
            "put it back from a backup.",
            reason="opt_out_key_lost",
        )
    return key
