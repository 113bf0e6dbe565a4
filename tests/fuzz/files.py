"""Files with wrong bytes in them: what the reading of headers and pixels must survive.

`python -m tests.fuzz.files --seconds 120` mutates images by the thousand, stores each as C-STORE would, reads
its headers and decodes its pixels; each file must end in a stack or in a named reason. Compressed pixels are
decoded in a process of their own, as the runner does: there a decoder may die, and it is counted.
"""

import argparse
import logging
import os
import random
import secrets
import signal
import struct
import tempfile
import time
from collections import Counter
from pathlib import Path

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from service.dicom.callers import Caller
from service.dicom.dimse import Command, CommandField
from service.dicom.filing import read_meta
from service.dicom.pdu import Context, ContextResult
from service.dicom.series import Stack, read_volume, scan
from service.dicom.spool import Spool
from service.dicom.storing import StoreStatus, Storing, begin_store
from service.errors import UnreadableSeries
from tests.make.series import enhanced_mr, mr_slice, save

#: A file that takes longer hangs; it takes milliseconds. Raised as an alarm, for nothing else could end it.
HANG_SECONDS = 60
#: Growth over all files: above what caches need, far below what a leak of one image for each would be.
MOST_GROWTH_MB = 64
#: The most memory that one file may take on top: a volume of one slice of the largest matrix and its copies,
#: or a header of the largest weight.
MOST_PEAK_MB = 600
EXTREMES = (0, 1, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
LARGE = {"Rows": 64, "Columns": 48, "PixelData": bytes(range(256)) * 24}
COMPRESSED = {RLELossless, JPEG2000Lossless, JPEGLSLossless}


def seeds(folder: Path) -> list[bytes]:
    """Good files of every kind."""
    plain = (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    )
    paths = [save(mr_slice(), folder / f"{number}.dcm", syntax=syntax) for number, syntax in enumerate(plain)]
    paths += [
        save(mr_slice(**LARGE), folder / f"c{number}.dcm", syntax=syntax)
        for number, syntax in enumerate(sorted(COMPRESSED))
    ]
    places = [(-10.0, -20.0, 4.0 * index) for index in range(6)]
    paths += [
        enhanced_mr(folder / "e.dcm", positions=places),
        enhanced_mr(folder / "er.dcm", positions=places, syntax=RLELossless),
    ]
    return [path.read_bytes() for path in paths]


def mutate(raw: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The same with one to five things wrong."""
    wrong = bytearray(raw)
    for _ in range(chance.randint(1, 5)):
        chance.choice(MUTATIONS)(wrong, others, chance)
    return bytes(wrong)


def _flip(raw: bytearray, _others: list[bytes], chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        if raw:
            raw[chance.randrange(len(raw))] = chance.randrange(256)


def _cut(raw: bytearray, _others: list[bytes], chance: random.Random) -> None:
    if chance.randrange(3) == 0:
        del raw[chance.randrange(len(raw) + 1) :]


def _number(raw: bytearray, _others: list[bytes], chance: random.Random) -> None:
    """An extreme number where a length may stand."""
    size = chance.choice((2, 4))
    if len(raw) > 140 + size:
        at = chance.randrange(132, len(raw) - size)
        raw[at : at + size] = (chance.choice(EXTREMES) % 256**size).to_bytes(size, "little")


def _digit(raw: bytearray, _others: list[bytes], chance: random.Random) -> None:
    """Another digit, sign or backslash in a number that is written out."""
    digits = [at for at in range(132, len(raw)) if 0x30 <= raw[at] <= 0x39]
    if digits:
        raw[chance.choice(digits)] = chance.choice(b"0123456789-.eE\\ ")


def _repeat(raw: bytearray, _others: list[bytes], chance: random.Random) -> None:
    """A part of the file again and again."""
    if len(raw) > 200:
        at, size = chance.randrange(132, len(raw)), chance.choice((8, 20, 300))
        raw[at:at] = bytes(raw[at : at + size]) * chance.choice((1, 2, 500))


def _splice(raw: bytearray, others: list[bytes], chance: random.Random) -> None:
    """The end of another file."""
    if chance.randrange(4) == 0:
        other = chance.choice(others)
        raw[chance.randrange(len(raw) + 1) :] = other[chance.randrange(len(other)) :]


def _sequence(raw: bytearray, _others: list[bytes], chance: random.Random) -> None:
    """A sequence in the middle, of items that need not end."""
    at = chance.randrange(len(raw) + 1)
    length = chance.choice((8, 0xFFFFFFFF, 40))
    head = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, length)
    raw[at:at] = head + struct.pack("<HHI", 0xFFFE, 0xE000, chance.choice((0, 8, 0xFFFFFFFF))) * 5


MUTATIONS = (_flip, _flip, _cut, _number, _number, _digit, _digit, _repeat, _splice, _sequence)


class Trial:
    """Mutants stored and read; what became of them is counted."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._path = folder / "mutant.dcm"
        self._kept = 0
        self._storing = Storing(
            spool=Spool(folder / "spool"),
            on_instance=self._keep,
            on_refused=lambda refused: self.counts.update([f"stored: {refused.value}"]),
            largest_bytes=2**26,
        )

    def _keep(self, _received: object) -> None:
        self._kept += 1
        self.counts["stored: kept"] += 1

    def run(self, raw: bytes) -> None:
        """One mutant through all doors; AssertionError where it is lost."""
        signal.alarm(HANG_SECONDS)
        self._store(raw)
        self._path.write_bytes(raw)
        found = scan([self._path])
        there = {frame.path for stack in found.stacks for frame in stack.frames}
        there |= {each.path for each in found.unreadable}
        directory = b"DirectoryRecord" in raw or (0x0004).to_bytes(2, "little") + b"\x20\x12" in raw
        assert there == {self._path} or directory, "the file is in no stack and has no reason"
        for each in found.unreadable:
            self.counts[f"read: {each.reason.code}"] += 1
        for stack in found.stacks:
            self.counts[f"pixels: {self._decode(stack, raw)}"] += 1
        signal.alarm(0)

    def _store(self, raw: bytes) -> None:
        """As a C-STORE brings it; the answer is a status, and kept or refused is told once."""
        try:
            meta = read_meta(raw)
        except UnreadableSeries:
            meta = None
        if meta is None:
            return
        before = sum(count for name, count in self.counts.items() if name.startswith("stored"))
        command = Command(
            field=CommandField.C_STORE,
            message_id=1,
            has_dataset=True,
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            event_type_id=None,
        )
        context = Context(
            number=1,
            abstract_syntax=meta.sop_class_uid,
            transfer_syntax=meta.transfer_syntax_uid,
            result=ContextResult.ACCEPTED,
        )
        caller = Caller(name="fuzz", ae_title="FUZZ", host="127.0.0.1")
        sink = begin_store(command, context, caller=caller, calling_ae="FUZZ", storing=self._storing)
        sink.write(memoryview(raw)[meta.end :])
        assert sink.finish() in set(StoreStatus)
        after = sum(count for name, count in self.counts.items() if name.startswith("stored"))
        assert after == before + 1, "an object was neither kept nor refused"

    def _decode(self, stack: Stack, raw: bytes) -> str:
        """Read the pixels, compressed ones in a process of their own."""
        if not any(uid.encode() in raw[:400] for uid in COMPRESSED):
            return self._read(stack)
        child = os.fork()
        if child == 0:
            signal.alarm(HANG_SECONDS)
            os._exit(0 if self._read(stack) == "decoded" else 1)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) != signal.SIGALRM, "a decoder hangs"
            return "decoder died alone"
        return "decoded apart" if status == 0 else "refused apart"

    @staticmethod
    def _read(stack: Stack) -> str:
        try:
            read_volume(stack)
        except UnreadableSeries as error:
            return error.reason.code
        return "decoded"


def memory_mb() -> tuple[float, float]:
    """Memory of this process now, and at its highest (getrusage would give that of its parent, if larger)."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    sizes = {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in lines)
        if "kB" in rest
    }
    return sizes["VmRSS"] / 1024, sizes["VmHWM"] / 1024


def main() -> None:
    """Search for a while or for so many files; the seed repeats it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--files", type=int, default=0, help="so many, however long it takes")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    logging.disable(logging.WARNING)  # Each refusal says so.
    chance, end = random.Random(arguments.seed), time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory() as scratch:
        trial, good = Trial(Path(scratch)), seeds(Path(scratch))
        for raw in good:
            trial.run(raw)
        trial.counts.clear()
        (before, _), done = memory_mb(), 0
        while done < arguments.files or (not arguments.files and time.monotonic() < end):
            trial.run(mutate(chance.choice(good), good, chance))
            done += 1
    now, highest = memory_mb()
    for name, count in sorted(trial.counts.items()):
        print(f"{count:7d}  {name}")
    print(f"{done} files, memory grew by {now - before:.1f} MB, at most by {highest - before:.1f} MB")
    assert not trial.counts["stored: instances_failed"]
    assert now - before < MOST_GROWTH_MB
    assert highest - before < MOST_PEAK_MB


if __name__ == "__main__":
    main()
