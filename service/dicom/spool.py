"""The folder of received images: the bytes as they came, each file durable before anybody is told.

A file lies under the digest of its own bytes, so the same image twice is one file, and nothing
that a sender wrote ever becomes part of a path.
"""

import logging
import os
import shutil
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from service.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.errors import SpoolFull, UnreadableSeries
from service.files import PART, PRIVATE_DIR, PRIVATE_FILE, make_private_dir, sync_dir, within

log = logging.getLogger(__name__)

#: A half-written file this old has no writer any more.
STALE_SECONDS = 24 * 3600
#: Where images lie until they are whole.
INCOMING = "incoming"
#: While a large image comes, the room is looked at again after so much of it; chosen by us.
LOOK_AGAIN_BYTES = 16 * 2**20
#: The disk begins while the rest still comes: half of the largest message of the network. Chosen by us.
HURRY_BYTES = 64 * 1024
_MEGABYTE = 1_000_000
#: PS3.5 9.1.
LONGEST_UID = 64


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One image as it lies in the spool."""

    #: Relative to the spool folder.
    path: str
    sha256: str
    size: int


class Room:
    """Whether there is room for images: none below the low mark, until the upper mark is reached again.

    Two marks, so that a disk that is nearly full does not refuse and accept in turn.
    """

    def __init__(self, folder: Path, *, low_mb: int, resume_mb: int, free: Callable[[], int] | None = None):
        self._low = low_mb * _MEGABYTE
        self._resume = max(low_mb, resume_mb) * _MEGABYTE
        self._free = free or (lambda: shutil.disk_usage(folder).free)
        self._full = False

    @property
    def full(self) -> bool:
        """Whether images are refused, as of the latest look."""
        return self._full

    def look(self) -> bool:
        """Whether there is room now."""
        free = self._free()
        full = free < (self._resume if self._full else self._low)
        if full != self._full:
            self._full = full
            log.warning("spool_full" if full else "spool_has_room", extra={"free_mb": free // _MEGABYTE})
        return not full

    def require(self) -> None:
        """Raise SpoolFull unless there is room."""
        if not self.look():
            raise SpoolFull("Not enough space is free for images.")


class Spool:
    """Where received images lie."""

    def __init__(self, root: Path, *, min_free_mb: int = 0, resume_free_mb: int = 0) -> None:
        self.root = root
        self.room = Room(root, low_mb=min_free_mb, resume_mb=resume_free_mb)
        make_private_dir(root / INCOMING)

    def begin(self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> "Incoming":
        """A place for one image that comes in pieces.

        Raises SpoolFull when there is no room for images, OSError when the disk will not have it.
        """
        self.room.require()
        head = file_head(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
        )
        return Incoming(self, head)

    def keep(
        self, dataset: bytes, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> Kept:
        """Write one image as a DICOM file; it survives a power cut once this returns."""
        incoming = self.begin(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
        )
        try:
            incoming.write(memoryview(dataset))
            return incoming.keep()
        except BaseException:
            incoming.abandon()
            raise

    def drop(self, kept: Kept) -> None:
        """Take a file out that no row points to."""
        self.path(kept.path).unlink(missing_ok=True)

    def path(self, relative: str) -> Path:
        """Where a kept image lies."""
        return within(self.root, relative)

    def make_folders(self) -> None:
        """Make every folder that an image may need, so that no sender waits for one."""
        for number in range(256):
            (self.root / f"{number:02x}").mkdir(mode=PRIVATE_DIR, exist_ok=True)
        sync_dir(self.root)

    def sweep_parts(self) -> int:
        """Remove what a crash left half-written; return how many files that was."""
        limit = time.time() - STALE_SECONDS
        stale = [path for path in self.root.glob(f"*/*{PART}") if path.stat().st_mtime < limit]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)


class Incoming:
    """One image on its way into the spool; nobody sees it until ``keep``."""

    def __init__(self, spool: Spool, head: bytes) -> None:
        self._spool = spool
        self._path = spool.root / INCOMING / f".{os.urandom(12).hex()}{PART}"
        self._head_size = len(head)
        self._size = 0
        self._look_at = LOOK_AGAIN_BYTES
        #: So many bytes are on their way to the disk already.
        self._hurried = 0
        self._digest = sha256()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file: int | None = os.open(self._path, flags, PRIVATE_FILE)
        try:
            self.write(memoryview(head))
        except BaseException:
            self.abandon()
            raise

    def write(self, piece: memoryview) -> None:
        """Write the next piece; raises SpoolFull or OSError."""
        assert self._file is not None
        self._digest.update(piece)
        self._size += len(piece)
        while piece:
            piece = piece[os.write(self._file, piece) :]
        if self._size - self._hurried >= HURRY_BYTES:
            self.hurry()
        if self._size >= self._look_at:
            self._look_at += LOOK_AGAIN_BYTES
            self._spool.room.require()

    def hurry(self) -> None:
        """Let the disk begin with what was written, so that ``keep`` waits for less: a fifth of the time."""
        assert self._file is not None
        if sys.platform == "linux":
            # The kernel starts to write what is dirty of what is said not to be needed in memory.
            os.posix_fadvise(self._file, self._hurried, 0, os.POSIX_FADV_DONTNEED)
        self._hurried = self._size

    def read_back(self, most: int) -> bytes:
        """The first bytes of the dataset."""
        assert self._file is not None
        return os.pread(self._file, most, self._head_size)

    def keep(self) -> Kept:
        """Make the bytes durable, then their name; the image survives a power cut once this returns."""
        assert self._file is not None
        os.fsync(self._file)
        self._close()
        name = self._digest.hexdigest()
        relative = f"{name[:2]}/{name}.dcm"
        folder = self._spool.root / name[:2]
        make_private_dir(folder)
        self._path.replace(self._spool.root / relative)
        sync_dir(folder)
        return Kept(path=relative, sha256=name, size=self._size)

    def abandon(self) -> None:
        """Leave nothing behind, unless it is kept already."""
        self._close()
        with suppress(OSError):  # What cannot be removed now is removed as stale.
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def file_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble and file meta information (PS3.10, 7.1) for a dataset that follows unchanged.

    It holds nothing but what identifies the dataset, so equal datasets make equal files. Raises
    UnreadableSeries for an identifier that cannot be one.
    """
    uids = (sop_class_uid, sop_instance_uid, transfer_syntax_uid)
    if not all(uid.isascii() and len(uid) <= LONGEST_UID for uid in uids):
        raise UnreadableSeries("The identifier of the object is none.", reason="bad_uid")
    elements = b"".join(
        (
            _element(0x0001, b"OB", b"\x00\x01"),
            _element(0x0002, b"UI", sop_class_uid.encode("ascii")),
            _element(0x0003, b"UI", sop_instance_uid.encode("ascii")),
            _element(0x0010, b"UI", transfer_syntax_uid.encode("ascii")),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        )
    )
    return bytes(128) + b"DICM" + _element(0x0000, b"UL", struct.pack("<I", len(elements))) + elements


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    """One element of group 0002 in Explicit VR Little Endian (PS3.5, 7.1.2)."""
    if len(value) % 2:
        value += b" " if vr == b"SH" else b"\x00"
    head = struct.pack("<HH2s", 0x0002, number, vr)
    long_form = vr == b"OB"
    length = struct.pack("<HI", 0, len(value)) if long_form else struct.pack("<H", len(value))
    return head + length + value
