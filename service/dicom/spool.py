"""The folder of received images: the bytes as they came, each file durable before anybody is told.

A file lies under the digest of its own bytes, so the same image twice is one file, and nothing
that a sender wrote ever becomes part of a path.
"""

import hashlib
import shutil
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from service.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from service.errors import SpoolFull
from service.files import PART, make_private_dir, within, write_atomically

#: A half-written file this old has no writer any more.
STALE_SECONDS = 24 * 3600
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One image as it lies in the spool."""

    #: Relative to the spool folder.
    path: str
    sha256: str
    size: int


class Spool:
    """Where received images lie."""

    def __init__(self, root: Path, *, min_free_mb: int = 0) -> None:
        self.root = root
        self._min_free = min_free_mb * _MEBIBYTE
        make_private_dir(root)

    def keep(
        self, dataset: bytes, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> Kept:
        """Write one image as a DICOM file; it survives a power cut once this returns.

        Raises SpoolFull when less than the configured space is free.
        """
        self.require_room(len(dataset))
        head = file_head(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
        )
        digest = hashlib.sha256(head)
        digest.update(dataset)
        name = digest.hexdigest()
        relative = f"{name[:2]}/{name}.dcm"
        path = self.root / relative
        make_private_dir(path.parent)
        write_atomically(path, (head, dataset))
        return Kept(path=relative, sha256=name, size=len(head) + len(dataset))

    def require_room(self, size: int) -> None:
        """Raise SpoolFull unless ``size`` bytes fit and the configured space stays free."""
        free = shutil.disk_usage(self.root).free
        if free - size < self._min_free:
            raise SpoolFull(f"Only {free // _MEBIBYTE} MB are free.")

    def drop(self, kept: Kept) -> None:
        """Take a file out that no row points to."""
        self.path(kept.path).unlink(missing_ok=True)

    def path(self, relative: str) -> Path:
        """Where a kept image lies."""
        return within(self.root, relative)

    def sweep_parts(self) -> int:
        """Remove what a crash left half-written; return how many files that was."""
        limit = time.time() - STALE_SECONDS
        stale = [path for path in self.root.glob(f"*/*{PART}") if path.stat().st_mtime < limit]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)


def file_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble and file meta information (PS3.10, 7.1) for a dataset that follows unchanged.

    It holds nothing but what identifies the dataset, so equal datasets make equal files.
    """
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
