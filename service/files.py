"""Files that are either wholly there or not at all, and private to the service.

A name from outside never becomes a path here: callers build paths from ids and digests of their own.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

#: Only the service's own account may enter its folders or read its files (patient data).
PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600
#: As long as the output of SHA-256, which is what RFC 2104 asks of a key for HMAC.
SECRET_BYTES = 32
_CHUNK = 1024 * 1024
#: Longer than any line that is added to a file.
_TAIL = 64 * 1024
#: Ending of files that are still being written; a crash may leave one behind.
PART = ".part"


def make_private_dir(path: Path) -> Path:
    """Make ``path`` and what is missing above it, each private, and make the new names durable."""
    missing: list[Path] = []
    folder = path
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(mode=PRIVATE_DIR, exist_ok=True)
        sync_dir(new.parent)
    return path


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Put ``content`` at ``path`` so that it survives a power cut once this returns.

    The folder must exist. A file that was there before is replaced in one step.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=PART)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in (content,) if isinstance(content, bytes) else content:
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), PRIVATE_FILE)
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_dir(path.parent)


def append_durably(path: Path, line: bytes) -> None:
    """Add ``line``, which ends with a line end, to a private file; it is on the disk once this returns.

    The file may be one to which things can only be added. What a power cut left of a line is taken away.
    """
    is_new = not path.exists()
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE_FILE), "rb+") as file:
        tail, begins = _tail(file)
        if tail and not tail.endswith(b"\n"):
            file.truncate(begins + tail.rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_dir(path.parent)


def last_line(path: Path) -> bytes:
    """The last whole line of a file of short lines; empty where there is none."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        tail, _ = _tail(file)
    return tail[: tail.rfind(b"\n") + 1].rstrip(b"\n").rpartition(b"\n")[2]


def _tail(file: BinaryIO) -> tuple[bytes, int]:
    """The end of a file, and where it begins."""
    begins = max(0, file.seek(0, os.SEEK_END) - _TAIL)
    file.seek(begins)
    return file.read(), begins


def sync_dir(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(folder: Path) -> None:
    """Make every file directly in ``folder`` private and durable."""
    for path in folder.iterdir():
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fchmod(descriptor, PRIVATE_FILE)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    sync_dir(folder)
    sync_dir(folder.parent)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def within(root: Path, relative: str) -> Path:
    """The path ``relative`` below ``root``.

    Raises ValueError when it would lead out of ``root``, whatever stands in the database.
    """
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError("the path leads out of its folder")
    return path


def find_secret(path: Path) -> bytes | None:
    """The random bytes that ``own_secret`` wrote; None where there are none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def own_secret(path: Path) -> bytes:
    """Random bytes that lie in a private file; made the first time, by one process for all."""
    secret = find_secret(path)
    if secret is not None:
        return secret
    make_private_dir(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=PART)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(SECRET_BYTES))
            file.flush()
            os.fchmod(file.fileno(), PRIVATE_FILE)
            os.fsync(file.fileno())
        # Who comes first makes it; the others take what is there.
        with suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        part.unlink()
    sync_dir(path.parent)
    return path.read_bytes()


def is_open_to_others(path: Path) -> bool:
    """Whether any account of this machine may read the file; a closed folder above it protects it, too."""
    others_read, others_enter = 0o004, 0o001
    try:
        if not path.stat().st_mode & others_read:
            return False
        return all(folder.stat().st_mode & others_enter for folder in path.resolve().parents)
    except OSError:
        return False


@contextmanager
def one_at_a_time(path: Path) -> Iterator[bool]:
    """Whether this is the only process (and thread) inside; the kernel lets go when the holder dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
