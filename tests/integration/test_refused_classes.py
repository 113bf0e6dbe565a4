"""A peer that does not take a class: the whole set in the next plainer form, for real peers too."""

import subprocess
from contextlib import contextmanager
from dataclasses import replace

import pydicom
import pytest

from service.core.inputset import InputSet
from service.core.series import Role
from service.core.status import OutputKind
from service.core.variant import LABEL_MAP_UID, SR_CLASS_UIDS, Variant
from service.db import circuits, deliveries
from service.db.session import downgrade, make_sessions, reading, upgrade
from service.dicom import scu
from service.pipeline.publish import write_objects
from service.pipeline.run import _output
from tests.make.outbox import sqlite_outbox
from tests.make.peers import fake_peer
from tests.make.received import NOW
from tests.make.results import IDENTITY, finding, world
from tests.make.running import free_port, wait_for
from tests.make.servers import dcmtk, end, listens
from tests.make.tools import run

USUAL = Variant(flags=False)
PACKED = replace(USUAL, encoding="labelmap")
KINDS = (OutputKind.SEG, OutputKind.SR, OutputKind.SC, OutputKind.PDF)
SEG_UID, SC_UID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.7"
PDF_UID = "1.2.840.10008.5.1.4.1.1.104.1"
BESIDE = (SEG_UID, SC_UID, PDF_UID)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """One result as it is made for a peer that asks for label maps."""
    made = world(tmp_path_factory.mktemp("images"))
    return write_objects(
        InputSet(stacks=((Role.IMAGE, made.stack),)),
        finding(made.mask),
        volume=made.volume,
        mask=made.mask,
        identity=IDENTITY,
        norms=(),
        variants=(PACKED, *PACKED.fallbacks),
        out=tmp_path_factory.mktemp("drawn"),
    )


@pytest.fixture
def outbox(tmp_path):
    with sqlite_outbox(tmp_path / "home") as outbox:
        yield outbox


def publish(outbox, written, wanted, *, made=None, number=1):
    """A result with these objects, all of one variant to go to the peer; ``made``: what there is of it."""
    analysis_id = outbox.add(number, peers=())
    folder = outbox.home / "results" / str(analysis_id)
    facts = []
    for each in written:
        names = tuple(name for name in each.variants if made is None or name in made)
        if names:
            path = folder / each.path.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(each.path.read_bytes())
            facts.append(_output(replace(each, path=path, variants=names), outbox.home))
    with outbox.sessions.begin() as db:
        deliveries.add_outputs(db, analysis_id, facts)
        rows = deliveries.outputs_of(db, analysis_id, wanted.name)
        deliveries.plan(db, rows, peer="pacs", kinds=KINDS, now=NOW)
    return analysis_id


def send_all(outbox, analysis_id, to):
    """Until nothing is left to be sent; how often."""
    times = 0
    while outbox.send(analysis_id, to) is not None:
        times += 1
        assert times < 10
    return times


def of(written, variant):
    return {each.sop_instance_uid for each in written if variant.name in each.variants}


def refused_by(outbox):
    with reading(outbox.sessions) as db:
        return circuits.refused(db, "pacs")


@contextmanager
def storescp(folder, classes):
    """dcmtk's archive, which takes these classes alone and keeps what comes bit by bit."""
    folder.mkdir()
    settings = folder.parent / "storescp.cfg"
    contexts = [f"PresentationContext{number} = {uid}\\Plain" for number, uid in enumerate(classes, 1)]
    settings.write_text(
        "[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianExplicit\n"
        "TransferSyntax2 = LittleEndianImplicit\n"
        "[[PresentationContexts]]\n[Taken]\n" + "\n".join(contexts) + "\n"
        "[[Profiles]]\n[Archive]\nPresentationContexts = Taken\n"
    )
    port = free_port()
    command = [dcmtk("storescp"), "+B", "-xf", str(settings), "Archive", "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("storescp to listen", lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, "storescp does not take its configuration"
        yield port
    finally:
        end(process)


def errors(path):
    done = run("dciodvfy", "-new", path, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize(
    ("taken", "times"), [("comprehensive3d", 1), ("comprehensive", 2), ("enhanced", 3)], ids=str
)
def test_an_archive_gets_the_whole_set_in_the_first_class_that_it_takes(
    outbox, drawn, tmp_path, taken, times
):
    result = publish(outbox, drawn, USUAL)
    gets = Variant(flags=False, sr_class=taken)
    archive = tmp_path / "archive"
    with storescp(archive, [*BESIDE, SR_CLASS_UIDS[taken]]) as port:
        address = scu.Address(host="127.0.0.1", port=port, ae_title="ARCHIVE", calling_ae="MYOSCREEN")
        to = replace(fake_peer().destination(variant=USUAL), address=address, outputs=KINDS)
        assert send_all(outbox, result, to) == times
    arrived = {str(each.SOPInstanceUID): each for each in map(pydicom.dcmread, archive.iterdir())}
    assert set(arrived) == of(drawn, gets)
    assert all(errors(path) == [] for path in archive.iterdir())
    (report,) = [each for each in arrived.values() if each.Modality == "SR"]
    assert report.SOPClassUID == SR_CLASS_UIDS[taken]
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    cited = {
        item.ReferencedSOPInstanceUID for one in study.ReferencedSeriesSequence for item in one[0x00081199]
    }
    assert {uid for uid, each in arrived.items() if each.Modality in ("SEG", "OT")} <= cited
    (document,) = [each for each in arrived.values() if each.Modality == "DOC"]
    assert document.SourceInstanceSequence[0].ReferencedSOPInstanceUID == report.SOPInstanceUID
    assert refused_by(outbox) == set(list(SR_CLASS_UIDS)[: times - 1])
    assert len(outbox.audited("variant_refused")) == times - 1


def test_what_is_known_of_a_peer_holds_for_the_next_result(outbox, drawn):
    peer = fake_peer()
    to = peer.destination(variant=USUAL, outputs=KINDS)
    with peer.listening(classes=[*BESIDE, SR_CLASS_UIDS["comprehensive"]]):
        first = publish(outbox, drawn, USUAL)
        assert send_all(outbox, first, to) == 2
        peer.received.clear()
        other = [replace(each, sop_instance_uid=f"{each.sop_instance_uid}0") for each in drawn]
        second = publish(outbox, other, USUAL, number=2)
        assert send_all(outbox, second, to) == 1
    comprehensive = Variant(flags=False, sr_class="comprehensive")
    assert set(peer.uids()) == of(drawn, comprehensive)
    (audit,) = outbox.audited("variant_refused")
    assert audit.detail["refused"] == ["comprehensive3d"]
    assert audit.detail["variant"] == comprehensive.name


def test_label_map_and_class_that_are_refused_at_once_change_at_once(outbox, drawn):
    result = publish(outbox, drawn, PACKED)
    peer = fake_peer()
    to = peer.destination(variant=PACKED, outputs=KINDS)
    with peer.listening(classes=[*BESIDE, SR_CLASS_UIDS["comprehensive"]]):
        assert send_all(outbox, result, to) == 2
    assert set(peer.uids()) == of(drawn, Variant(flags=False, sr_class="comprehensive"))
    assert refused_by(outbox) == {"labelmap", "comprehensive3d"}


def test_a_peer_that_takes_label_maps_keeps_them_when_it_refuses_the_class(outbox, drawn):
    result = publish(outbox, drawn, PACKED)
    peer = fake_peer()
    to = peer.destination(variant=PACKED, outputs=KINDS)
    with peer.listening(
        classes=[*BESIDE, LABEL_MAP_UID, SR_CLASS_UIDS["enhanced"]],
        syntaxes=["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"],
    ):
        assert send_all(outbox, result, to) == 3
    assert set(peer.uids()) == of(drawn, replace(PACKED, sr_class="enhanced"))


def test_a_class_without_a_plainer_one_is_refused_alone(outbox, drawn):
    result = publish(outbox, drawn, USUAL)
    peer = fake_peer()
    to = peer.destination(variant=USUAL, outputs=KINDS)
    with peer.listening(classes=[SEG_UID, SC_UID, SR_CLASS_UIDS["comprehensive3d"]]):
        report = outbox.send(result, to)
    assert (report.sent, report.dead) == (3, 1)
    assert refused_by(outbox) == set()


def test_of_a_result_that_was_made_in_one_form_alone_what_the_peer_takes_arrives(outbox, drawn):
    result = publish(outbox, drawn, USUAL, made=[USUAL.name])
    peer = fake_peer()
    to = peer.destination(variant=USUAL, outputs=KINDS)
    with peer.listening(classes=[*BESIDE, SR_CLASS_UIDS["comprehensive"]]):
        assert send_all(outbox, result, to) == 1
        assert len(peer.uids()) == 3
        with outbox.sessions.begin() as db:  # as another result has shown meanwhile
            circuits.note_refused(db, "pacs", ["comprehensive3d"], now=NOW)
        late = publish(outbox, drawn, USUAL, made=[USUAL.name], number=2)
        outbox.send(late, to)
    states = [(row.state, row.error_code) for row in outbox.rows()]
    assert states.count(("dead", "context_refused")) == 2
    assert ("dead", "other_variant") not in states


def test_a_status_that_says_the_class_is_not_supported_means_the_same(outbox, drawn):
    """PS3.7 C.5.6: 0x0122; some archives take any context and say so then."""
    result = publish(outbox, drawn, USUAL)
    peer = fake_peer()
    kinds = {each.sop_instance_uid: each.sop_class_uid for each in drawn}
    peer.answer = lambda number: (
        0x0122 if kinds[peer.uids()[number]] == SR_CLASS_UIDS["comprehensive3d"] else 0x0000
    )
    with peer.listening(classes=[*BESIDE, *SR_CLASS_UIDS.values()]):
        assert send_all(outbox, result, peer.destination(variant=USUAL, outputs=KINDS)) == 2
    assert of(drawn, Variant(flags=False, sr_class="comprehensive")) <= set(peer.uids())
    assert refused_by(outbox) == {"comprehensive3d"}


def test_a_person_has_it_offered_again(outbox, drawn):
    result = publish(outbox, drawn, USUAL)
    peer = fake_peer()
    to = peer.destination(variant=USUAL, outputs=KINDS)
    with outbox.sessions.begin() as db:
        assert circuits.note_refused(db, "pacs", ["comprehensive3d", "comprehensive"], now=NOW)
        assert not circuits.note_refused(db, "pacs", ["comprehensive3d"], now=NOW)
        circuits.reset(db, "pacs", actor="otto", now=NOW)
    assert refused_by(outbox) == set()
    (audit,) = outbox.audited("peer_circuit_reset")
    assert audit.detail["forgotten"] == ["comprehensive3d", "comprehensive"]
    with peer.listening(classes=[*BESIDE, *SR_CLASS_UIDS.values()]):
        assert send_all(outbox, result, to) == 1
    assert set(peer.uids()) == of(drawn, USUAL)


def test_what_an_earlier_release_remembered_is_known_after_the_upgrade_and_back(database_url):
    upgrade(database_url)
    sessions = make_sessions(database_url)
    with sessions.begin() as db:
        circuits.note_refused(db, "packed", ["labelmap", "comprehensive3d"], now=NOW)
        circuits.note_refused(db, "older", ["comprehensive3d"], now=NOW)
    sessions.kw["bind"].dispose()
    downgrade(database_url, "0002")
    upgrade(database_url)
    sessions = make_sessions(database_url)
    try:
        with reading(sessions) as db:
            assert circuits.refused(db, "packed") == {"labelmap"}
            assert circuits.refused(db, "older") == set()
    finally:
        sessions.kw["bind"].dispose()
