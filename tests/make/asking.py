"""Questions of storage commitment and performed steps as a modality puts them, byte by byte."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from service.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE
from service.dicom.performed import PERFORMED_STEP
from tests.make import wire
from tests.make.modality import MR_IMAGE


def element(group: int, number: int, value: bytes, *, order: str = "<") -> bytes:
    """One element in an implicit syntax; also an item."""
    value += bytes(len(value) % 2)
    return struct.pack(f"{order}HHI", group, number, len(value)) + value


def crowd(count: int, *, empty: bool = False) -> bytes:
    """A question about so many objects, as bytes."""
    sop_class = element(8, 0x1150, MR_IMAGE.encode())
    items = (
        element(0xFFFE, 0xE000, b"" if empty else sop_class + element(8, 0x1155, b"1.2.3.%09d" % number))
        for number in range(count)
    )
    return element(8, 0x1195, b"1.2.3") + element(8, 0x1199, b"".join(items))


def action() -> bytes:
    """The command set of an N-ACTION-RQ."""
    return wire.command_set(
        {
            0x0003: wire.uid(COMMITMENT_CLASS),
            0x0100: wire.us(0x0130),
            0x0110: wire.us(3),
            0x0800: wire.us(1),
            0x1001: wire.uid(COMMITMENT_INSTANCE),
            0x1008: wire.us(1),
        }
    )


def session_of_questions(raw: bytes) -> list[bytes]:
    """An association that asks twice, and stays for the reports."""
    contexts = {1: (COMMITMENT_CLASS, (wire.IMPLICIT,)), 3: (wire.VERIFICATION, (wire.IMPLICIT,))}
    asking = [wire.data(1, 3, action()), wire.data(1, 2, raw)]
    answer = {0x0100: wire.us(0x8100), 0x0120: wire.us(1), 0x0800: wire.us(0x0101), 0x0900: wire.us(0)}
    told = wire.data(1, 3, wire.command_set(answer))
    return [wire.associate_request(contexts=contexts), *asking, *asking, told, wire.echo_request()]


def step(state: str | None, paths: Sequence[Path] = (), *, sop_class: str = MR_IMAGE) -> Dataset:
    """What is said of a step that made these files."""
    told = Dataset()
    if state is not None:
        told.PerformedProcedureStepStatus = state
    by_series: dict[str, list[Dataset]] = {}
    for path in paths:
        image = pydicom.dcmread(path, stop_before_pixels=True)
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, image.SOPInstanceUID
        by_series.setdefault(str(image.SeriesInstanceUID), []).append(item)
    told.PerformedSeriesSequence = []
    for uid, items in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID, series.ReferencedImageSequence = uid, items
        told.PerformedSeriesSequence.append(series)
    return told


def session_of_steps(paths: Sequence[Path]) -> list[bytes]:
    """An association that creates a step and sets it, as bytes."""
    said = [(0x0140, step("IN PROGRESS")), (0x0120, step("COMPLETED", paths))]
    pdus = [wire.associate_request(contexts={1: (PERFORMED_STEP, (wire.IMPLICIT,))})]
    for field, told in said:
        elements = {0x0100: wire.us(field), 0x0110: wire.us(3), 0x0800: wire.us(1)}
        numbers = (0x0002, 0x1000) if field == 0x0140 else (0x0003, 0x1001)
        elements |= dict(zip(numbers, (wire.uid(PERFORMED_STEP), wire.uid("1.2.3.4")), strict=True))
        raw = encode(told, is_implicit_vr=True, is_little_endian=True)
        pdus += [wire.data(1, 3, wire.command_set(elements)), wire.data(1, 2, raw)]
    return [*pdus, wire.release_request()]
