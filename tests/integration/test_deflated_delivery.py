"""Deflated copies: sent where a peer takes them, the stored bytes where it does not."""

import subprocess
from contextlib import contextmanager

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from service.dicom import scu
from tests.make.running import free_port, wait_for
from tests.make.series import mr_slice, save
from tests.make.servers import dcmtk, end, listens


@contextmanager
def storescp(folder, *options):
    """dcmtk's archive of one folder, keeping what comes bit by bit."""
    folder.mkdir()
    port = free_port()
    command = [dcmtk("storescp"), "+B", *options, "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("storescp to listen", lambda: listens(port))
        yield port
    finally:
        end(process)


def sent(path, port, *, deflated=True):
    address = scu.Address(
        host="127.0.0.1", port=port, ae_title="STORESCP", calling_ae="MYOSCREEN", deflated=deflated
    )
    (outcome,) = scu.store([path], address)
    return outcome.status


@pytest.mark.parametrize(
    ("options", "deflated", "syntax"),
    [
        (("+xd",), True, DeflatedExplicitVRLittleEndian),
        (("+xd",), False, ExplicitVRLittleEndian),
        (("+xe",), True, ExplicitVRLittleEndian),
    ],
    ids=["taken", "not offered", "refused"],
)
def test_a_deflated_copy_goes_where_it_is_taken(tmp_path, options, deflated, syntax):
    path = save(mr_slice(), tmp_path / "stored.dcm")
    before = path.read_bytes()
    with storescp(tmp_path / "archive", *options) as port:
        assert sent(path, port, deflated=deflated) == 0
    (arrived,) = (tmp_path / "archive").iterdir()
    there = pydicom.dcmread(arrived)
    assert there.file_meta.TransferSyntaxUID == syntax
    assert there == pydicom.dcmread(path)
    assert path.read_bytes() == before
