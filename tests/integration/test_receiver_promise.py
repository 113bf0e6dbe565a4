"""What SUCCESS means, seen from outside the process: the system calls of a receiver, in their order."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage, generate_uid

from service.dicom import scu
from tests.make.databases import bring_up
from tests.make.running import free_port, wait_for
from tests.make.series import mr_series
from tests.make.servers import end, find_program, listens
from tests.make.tools import storescu

SENT = ("sendto", "sendmsg", "write")
RENAMES = ("rename", "renameat", "renameat2")
VIEWER = {"name": "viewer", "ae_title": "SENDER", "host": "127.0.0.1", "edits": True}
CALLS = ("openat", "pwrite64", "fsync", "fdatasync", *SENT, *RENAMES)


@contextmanager
def traced_receiver(home, trace):
    """``myoscreen receive`` under strace, each system call with the file that it is about."""
    port = free_port()
    environment = {
        **os.environ,
        "MYOSCREEN_HOME": str(home),
        "MYOSCREEN_DICOM_PORT": str(port),
        "MYOSCREEN_SPOOL_MIN_FREE_MB": "0",
        "MYOSCREEN_PEER": json.dumps([VIEWER]),
    }
    bring_up(f"sqlite:///{home / 'myoscreen.db'}")
    strace = find_program("strace")
    command = [strace, "-f", "-yy", "-s", "16", "-e", f"trace={','.join(CALLS)}", "-o", str(trace)]
    process = subprocess.Popen(
        [*command, sys.executable, "-m", "service.cli", "receive"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        try:
            wait_for(
                "the receiver to listen", lambda: process.poll() is not None or listens(port), seconds=90
            )
        finally:
            if process.poll() is not None:
                said = process.stderr.read().decode()
                if "ptrace" in said.lower():
                    pytest.skip("strace may not trace here")
                raise AssertionError(said)
        yield port
    finally:
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
        )
        for child in children.stdout.split():
            os.kill(int(child), signal.SIGTERM)
        end(process)
        process.stderr.close()


def calls_of(trace):
    """Thread, name and arguments of each call, in the order in which they ended."""
    unfinished, calls = {}, []
    for line in trace.read_text("utf-8", "replace").splitlines():
        if found := re.match(r"^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$", line):
            thread, name, rest = found.groups()
            calls.append((thread, name, unfinished.pop(thread, "") + rest))
        elif found := re.match(r"^(\d+)\s+(\w+)\((.*)$", line):
            thread, name, rest = found.groups()
            if rest.endswith("<unfinished ...>"):
                unfinished[thread] = rest.removesuffix("<unfinished ...>")
            else:
                calls.append((thread, name, rest))
    return calls


def where(calls, names, pattern, *, after=-1):
    """Index of the first such call after another."""
    for index, (_, name, arguments) in enumerate(calls):
        if index > after and name in names and re.search(pattern, arguments):
            return index
    seen = "\n".join(f"{name}({arguments[:150]}" for _, name, arguments in calls)
    raise AssertionError(f"no {'/'.join(names)} of {pattern} after call {after}:\n{seen}")


def edited_segmentation(image, path):
    """What a viewer sends back of an image, as far as the receiver looks."""
    seg = pydicom.dcmread(image)
    del seg.PixelData
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = seg.SOPClassUID, seg.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedInstanceSequence = seg.SeriesInstanceUID, [source]
    seg.ReferencedSeriesSequence = [series]
    seg.SOPClassUID = seg.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    seg.SOPInstanceUID = seg.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    seg.SeriesInstanceUID, seg.Modality = generate_uid(), "SEG"
    seg.save_as(path)
    return path


def test_the_answer_is_sent_after_file_name_and_row_are_on_the_disk(tmp_path):
    """Of an image, and of a segmentation that came back edited."""
    home, trace = tmp_path / "home", tmp_path / "trace"
    (image,) = mr_series(tmp_path / "in", positions=[0.0])
    with traced_receiver(home, trace) as port:
        storescu(port, [image])
        (first,) = (home / "spool").rglob("*.dcm")
        viewer = scu.Address(host="127.0.0.1", port=port, ae_title="MYOSCREEN", calling_ae="SENDER")
        (answer,) = scu.store([edited_segmentation(image, tmp_path / "seg.dcm")], viewer)
        assert answer.status == 0x0000
        (second,) = set((home / "spool").rglob("*.dcm")) - {first}
    names = (first, second)
    every = calls_of(trace)
    # P-DATA is PDU type 4, and the only one that we send on an association is the response.
    sent = rf"TCP.*:{port}->.*\"\\4\\0"
    responses = [
        index for index, (_, name, rest) in enumerate(every) if name in SENT and re.search(sent, rest)
    ]
    assert len(responses) == len(names)
    begin = 0
    for response, kept in zip(responses, names, strict=True):
        # One thread does it all; what others sync at the same time does not count.
        thread = every[response][0]
        require_safe([call for call in every[begin : response + 1] if call[0] == thread], kept, sent)
        begin = response + 1


def require_safe(calls, kept, sent):
    """Demand that the last of these calls is the answer, and that all before it is on the disk."""
    created = where(calls, ["openat"], r"spool/incoming/\.[0-9a-f]+\.part.*O_CREAT")
    part = re.escape(re.search(r"incoming/(\.[0-9a-f]+\.part)", calls[created][2])[1])
    written = max(
        index for index, (_, name, rest) in enumerate(calls) if name == "write" and re.search(part, rest)
    )
    synced = where(calls, ["fsync"], part, after=written)
    renamed = where(calls, RENAMES, f"{part}.*{kept.name}", after=synced)
    name_synced = where(calls, ["fsync"], rf"spool/{kept.parent.name}>", after=renamed)
    logged = where(calls, ["pwrite64", "write"], r"myoscreen\.db-wal", after=name_synced)
    committed = where(calls, ["fdatasync", "fsync"], r"myoscreen\.db-wal", after=logged)
    answered = where(calls, SENT, sent, after=committed)
    assert answered == len(calls) - 1
