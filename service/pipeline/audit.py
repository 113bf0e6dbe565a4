"""The verb "seal": the audit record becomes a chain, and its heads are signed outside the database."""

import json
import logging
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from service.core.chain import Head, Verdict, signed_head, verify
from service.db import audit
from service.db.session import Sessions, reading
from service.errors import ConfigurationError
from service.files import append_durably, last_line, make_private_dir, one_at_a_time, write_atomically

log = logging.getLogger(__name__)

#: Below HOME, unless the settings say otherwise.
FOLDER, KEY, HEADS, LOCK = "audit", "key", "heads.jsonl", "lock"
#: A head is written when lines were sealed and the last one is so old. It is the longest time whose lines
#: can be cut off unseen; chosen by us, a year of heads is 20 MB.
HEAD_EVERY: Final = timedelta(minutes=5)
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

    One process at a time does it; others leave it alone.
    """
    make_private_dir(keeping.folder)
    with one_at_a_time(keeping.folder / LOCK) as mine:
        if not mine:
            return 0
        sealed = audit.seal(sessions)
        with reading(sessions) as session:
            end = audit.last(session)
        if end.count and _is_due(last_line(keeping.heads_path), end, now):
            head = signed_head(
                at=now.isoformat(), count=end.count, last_hash=end.last_hash, key=_key(keeping, make=True)
            )
            append_durably(keeping.heads_path, json.dumps(asdict(head)).encode() + b"\n")
            # A collector of logs keeps it, too: a second place outside the database.
            log.info("audit_head", extra={"count": head.count, "sha256": head.hash})
    return sealed


def _is_due(line: bytes, end: audit.Sealed, now: datetime) -> bool:
    """Whether the chain has grown and the last head is old; a clock set back does not put it off."""
    if not line:
        return True
    newest = _head(line)
    age = abs(now - datetime.fromisoformat(newest.at))
    return (newest.count, newest.hash) != (end.count, end.last_hash) and age >= HEAD_EVERY


def look(sessions: Sessions, keeping: Keeping, *, more_heads: Sequence[Path] = ()) -> Verdict:
    """Follow the whole chain and compare it with every head.

    Raises ConfigurationError where there are heads but no key, or where a file of heads cannot be read.
    """
    heads = read_heads(keeping.heads_path)
    for path in more_heads:
        if not path.is_file():
            raise ConfigurationError(f"There is no file {path}.", reason="no_heads")
        heads += read_heads(path)
    key = _key(keeping, make=False) if heads else b""
    # Lines that are sealed meanwhile do no harm: heads that were read before name earlier ones.
    return verify(audit.links(sessions), heads, key)


def read_heads(path: Path) -> list[Head]:
    """The heads in a file, the oldest first; a last line that a power cut left unfinished does not count."""
    if not path.is_file():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [_head(line) for line in whole.splitlines() if line.strip()]


def _head(line: bytes) -> Head:
    try:
        return Head(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            "A line in the file of heads is no head of the audit record.", reason="bad_heads"
        ) from error


def _key(keeping: Keeping, *, make: bool) -> bytes:
    """The key that heads are signed with; the first head makes one, where no file of it is named."""
    path = keeping.key_path
    if not path.is_file():
        if not make or keeping.key_file is not None:
            raise ConfigurationError(f"There is no key of the audit record at {path}.", reason="no_audit_key")
        write_atomically(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")
    try:
        return bytes.fromhex(path.read_text("ascii").strip())
    except ValueError as error:
        raise ConfigurationError(
            f"The key at {path} is not in hexadecimal.", reason="no_audit_key"
        ) from error
