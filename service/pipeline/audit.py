"""The verb "seal": the audit record becomes a chain, and its heads are signed outside the database."""

import json
import logging
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from service.core.chain import Fault, Head, Verdict, signed_head, verify
from service.db import audit, people
from service.db.session import Sessions, reading
from service.errors import ConfigurationError
from service.files import append_durably, last_line, make_private_dir, one_at_a_time, write_atomically

log = logging.getLogger(__name__)

#: Below HOME, unless the settings say otherwise.
FOLDER, KEY, HEADS, LOCK = "audit", "key", "heads.jsonl", "lock"
#: A head is written when lines were sealed and the last one is so old. It is the longest time whose lines
#: can be cut off unseen; chosen by us, a year of heads is 20 MB.
HEAD_EVERY: Final = timedelta(minutes=5)
#: A line without a head is told only when the head was due so long ago: it may just be under way, and the
#: clocks of several machines differ. Chosen by us.
HEAD_LATE: Final = timedelta(minutes=5)
#: RFC 2104 section 3: a key as long as the hash.
KEY_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Where the key and the heads lie."""

    folder: Path
    #: Elsewhere than in the folder, such as a secret of a container, or a disk that can only be added to.
    key_file: Path | None = None
    heads_file: Path | None = None

    @property
    def key_path(self) -> Path:
        """File with the key that heads are signed with."""
        return self.key_file or self.folder / KEY

    @property
    def heads_path(self) -> Path:
        """File with one head a line."""
        return self.heads_file or self.folder / HEADS


def seal(sessions: Sessions, keeping: Keeping, *, now: datetime) -> int:
    """Seal what was written since the last time, and sign a head when it is time; how many lines were sealed.

    One process at a time does it; others leave it alone. Raises OSError or ConfigurationError where no head
    can be written.
    """
    make_private_dir(keeping.folder)
    with one_at_a_time(keeping.folder / LOCK) as mine:
        if not mine:
            return 0
        _catch_up(sessions, keeping, now=now)
        sealed = audit.seal(sessions)
        end = _end(sessions)
        if end.count and _is_due(last_line(keeping.heads_path), end, HEAD_EVERY, now):
            _sign(keeping, end, now=now)
    return sealed


def _catch_up(sessions: Sessions, keeping: Keeping, *, now: datetime) -> None:
    """Sign the head that could not be written before, or raise: then no more lines are sealed.

    So lines that wait to be sealed tell in time that heads cannot be written, and nothing else has to.
    """
    newest, end = last_line(keeping.heads_path), _end(sessions)
    if not end.count or not _is_due(newest, end, HEAD_EVERY + HEAD_LATE, now):
        return
    _sign(keeping, end, now=now)
    if not newest:
        _tell_begun(sessions, end, now=now)


def _end(sessions: Sessions) -> audit.Sealed:
    with reading(sessions) as session:
        return audit.last(session)


def _sign(keeping: Keeping, end: audit.Sealed, *, now: datetime) -> None:
    """Write one more head."""
    key = _keys(keeping, make=True)[0]
    head = signed_head(at=now.isoformat(), count=end.count, last_hash=end.last_hash, key=key)
    append_durably(keeping.heads_path, json.dumps(asdict(head)).encode() + b"\n")
    # A collector of logs keeps it, too: a second place outside the database.
    log.info("audit_head", extra={"count": head.count, "sha256": head.hash})


def _tell_begun(sessions: Sessions, end: audit.Sealed, *, now: datetime) -> None:
    """Lines were sealed before, and there is no head of them (any more): the record itself says so."""
    log.warning("audit_heads_begun_anew", extra={"count": end.count})
    with sessions.begin() as session:
        people.record(
            session,
            at=now,
            actor="service",
            action="audit_heads_begun_anew",
            detail={"count": end.count},
        )


def _is_due(line: bytes, end: audit.Sealed, after: timedelta, now: datetime) -> bool:
    """Whether the chain has grown and the last head is so old; a clock set back does not put it off."""
    try:
        newest = _head(line)
    except ConfigurationError:  # None yet, or no head: a look at the whole file tells of it.
        return True
    age = abs(now - datetime.fromisoformat(newest.at))
    return (newest.count, newest.hash) != (end.count, end.last_hash) and age >= after


def look(sessions: Sessions, keeping: Keeping, *, now: datetime, more_heads: Sequence[Path] = ()) -> Verdict:
    """Follow the whole chain and compare it with every head.

    Raises ConfigurationError where there are heads but no key, or where a file of heads cannot be read.
    """
    heads = read_heads(keeping.heads_path)
    for path in more_heads:
        if not path.is_file():
            raise ConfigurationError(f"There is no file {path}.", reason="no_heads")
        heads += read_heads(path)
    keys = _keys(keeping, make=False) if heads else ()
    # Lines that are sealed meanwhile do no harm: heads that were read before name earlier ones.
    verdict = verify(audit.links(sessions), heads, keys)
    if not without_head(sessions, verdict.last_head, now=now):
        return verdict
    late = Fault(kind="no_head", number=verdict.anchored + 1)
    return replace(verdict, faults=(*verdict.faults, late))


def without_head(sessions: Sessions, head: Head | None, *, now: datetime) -> int:
    """How many sealed lines ought to have a head behind them by now and have none.

    Whoever seals a line signs a head at once when the last one is old enough.
    """
    since = None if head is None else datetime.fromisoformat(head.at) + HEAD_EVERY + HEAD_LATE
    with reading(sessions) as session:
        return audit.sealed_between(
            session, above=0 if head is None else head.count, since=since, until=now - HEAD_LATE
        )


def newest_head(keeping: Keeping) -> Head | None:
    """The last head of the file; None where there is none. Raises ConfigurationError if the line is none."""
    line = last_line(keeping.heads_path)
    return _head(line) if line else None


def read_heads(path: Path) -> list[Head]:
    """The heads in a file, the oldest first; a last line that a power cut left unfinished does not count."""
    if not path.is_file():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [_head(line) for line in whole.splitlines() if line.strip()]


def _head(line: bytes) -> Head:
    try:
        head = Head(**json.loads(line))
        when = datetime.fromisoformat(head.at)
        words = (head.at + head.hash + head.signature).isascii()
        if when.tzinfo is None or type(head.count) is not int or not words:
            raise ValueError("not of the shape of a head")
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            "A line in the file of heads is no head of the audit record.", reason="bad_heads"
        ) from error
    return head


def _keys(keeping: Keeping, *, make: bool) -> tuple[bytes, ...]:
    """The keys of the heads: the first signs, the others did before.

    The first head makes one, where no file of it is named; where there are heads already theirs is missed.
    """
    path = keeping.key_path
    if not path.is_file():
        if not make or keeping.key_file is not None or last_line(keeping.heads_path):
            raise ConfigurationError(f"There is no key of the audit record at {path}.", reason="no_audit_key")
        write_atomically(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")
    try:
        keys = tuple(bytes.fromhex(line) for line in path.read_text("ascii").splitlines() if line.strip())
        if not keys or min(len(key) for key in keys) < KEY_BYTES:
            raise ValueError("too short")
    except ValueError as error:
        raise ConfigurationError(
            f"The key at {path} is not 64 hexadecimal digits.", reason="no_audit_key"
        ) from error
    return keys
