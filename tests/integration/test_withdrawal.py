"""A result is taken back: from the order of a person to what the peers are told."""

import shutil
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pydicom
import pytest
from sqlalchemy import select, text, update
from typer.testing import CliRunner

from service.cli import build_app
from service.core.inputset import InputSet
from service.core.series import Role
from service.core.status import OutputKind
from service.core.variant import Variant
from service.db import (
    cohort,
    deliveries,
    ledger,
    listing,
    orders,
    priors,
    queries,
    retention,
    versions,
    views,
    withdrawals,
)
from service.db.funnel import funnel
from service.db.session import downgrade, reading, upgrade
from service.db.tables import Analysis, AuditEntry, Delivery, Event, Output, Series, Study
from service.errors import InvalidRequest
from service.pipeline import deliver, withdraw
from service.pipeline import retention as keeping
from service.pipeline.publish import write_objects
from service.pipeline.run import _output
from tests.make.outbox import TERMS, sqlite_outbox
from tests.make.peers import ALL_CLASSES, fake_peer
from tests.make.received import NOW, instance, measured_result, set_input
from tests.make.results import IDENTITY, finding, world

KOS_CLASS = "1.2.840.10008.5.1.4.1.1.88.59"
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
ENGLISH, GERMAN = Variant(), Variant(language="de", flags=False, sr_class="enhanced")
KINDS = (OutputKind.SEG, OutputKind.SR, OutputKind.SC, OutputKind.PDF)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The objects of one result in two variants, and its finding."""
    made = world(tmp_path_factory.mktemp("images"))
    out, told = tmp_path_factory.mktemp("drawn"), finding(made.mask)
    written = write_objects(
        InputSet(stacks=((Role.IMAGE, made.stack),)),
        told,
        volume=made.volume,
        mask=made.mask,
        identity=IDENTITY,
        norms=(),
        variants=(ENGLISH, GERMAN),
        out=out,
    )
    return out, written, told.as_dict()


class Site:
    """A ledger with one result, and a clock that the test moves."""

    def __init__(self, sessions, home, drawn):
        self.sessions, self.home, self.now, self.drawn = sessions, home, NOW, drawn

    def publish(self, *, peers, kinds=KINDS):
        """A finished result, each peer to get one variant of it."""
        folder, written, told = self.drawn
        with self.sessions.begin() as db:
            ledger.record_instance(db, instance(), now=self.now)
            analysis_id = orders_of(db, self.now)
            claim = queries.claim_analysis(db, analysis_id, owner="x", now=self.now)
            result_path = f"results/{analysis_id}/attempt-1"
            shutil.copytree(folder, self.home / result_path)
            result = measured_result(finding=told, flagged=True, contrast="t2_tse", result_path=result_path)
            queries.save_finding(db, claim, result, now=self.now)
            here = [replace(each, path=self.home / result_path / each.path.name) for each in written]
            deliveries.add_outputs(db, analysis_id, [_output(each, self.home) for each in here])
            for peer, variant in peers.items():
                rows = deliveries.outputs_of(db, analysis_id, variant.name)
                deliveries.plan(db, rows, peer=peer, kinds=kinds, now=self.now)
        return analysis_id

    def send(self, analysis_id, destination):
        return deliver.run(
            self.sessions, analysis_id, destination, home=self.home, terms=TERMS, clock=lambda: self.now
        )

    def withdraw(self, analysis_id, reason="wrong_drawing", **more):
        with self.sessions.begin() as db:
            return withdrawals.withdraw(db, analysis_id, reason=reason, actor="otto", now=self.now, **more)

    def tell(self, **preferred):
        return withdraw.tell_peers(self.sessions, self.home, preferred=preferred, clock=lambda: self.now)

    def rows(self, table, *conditions):
        with reading(self.sessions) as db:
            return list(db.scalars(select(table).where(*conditions).order_by(table.id)))

    def told_by(self, analysis_id):
        """Kind, variants and UID of what tells of the withdrawal."""
        of_it = (Output.analysis_id == analysis_id, Output.withdrawal.is_(True))
        return [(row.kind, row.variants, row.sop_instance_uid) for row in self.rows(Output, *of_it)]

    def events(self, name):
        return [row.detail for row in self.rows(Event, Event.name == name)]


def orders_of(db, now):
    """One analysis that waits, of the one series."""
    series = db.execute(select(Analysis.id)).scalars().first()
    assert series is None
    row = db.execute(select(Study.id, Series.id).join(Series)).one()
    (made,) = versions.make_ready(
        db, study_id=row[0], series_ids=[row[1]], sets=[set_input(row[1], 0, "d1")], now=now
    )
    return made


@pytest.fixture
def site(sessions, tmp_path, drawn):
    """On SQLite and on PostgreSQL."""
    (tmp_path / "home").mkdir(exist_ok=True)
    return Site(sessions, tmp_path / "home", drawn)


@pytest.fixture
def small(tmp_path, drawn):
    """On SQLite alone."""
    with sqlite_outbox(tmp_path / "home") as outbox:
        yield Site(outbox.sessions, outbox.home, drawn)


def parsed(peer, uid):
    raw = next(raw for got, raw in peer.received if got == uid)
    return pydicom.dcmread(BytesIO(raw), force=True)


def text_of(dataset):
    found = []
    dataset.walk(lambda _, element: found.append(str(element.value)))
    return " ".join(found)


def predecessor(report):
    (study,) = report.PredecessorDocumentsSequence
    return study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID


def evidence(dataset):
    return {
        str(item.ReferencedSOPInstanceUID)
        for study in dataset.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def test_each_peer_is_told_in_its_form_by_report_and_rejection_note(site):
    german, other = fake_peer(), fake_peer()
    made = site.publish(peers={"pacs": GERMAN, "ward": ENGLISH, "away": ENGLISH})
    classes = (*ALL_CLASSES, ENHANCED_SR, KOS_CLASS)
    with german.listening(classes=classes), other.listening(classes=ALL_CLASSES):
        site.send(made, german.destination("pacs", variant=GERMAN))
        site.send(made, other.destination("ward"))
        before = german.uids()
        assert len(before) == len(other.uids()) == len(KINDS)
        site.withdraw(made, comment="left is right")
        assert site.tell(pacs=GERMAN.name) == 4
        site.send(made, german.destination("pacs", variant=GERMAN))
        site.send(made, other.destination("ward"))
        told = {(kind, variant): uid for kind, variant, uid in site.told_by(made)}
    assert set(told) == {(kind, v.name) for kind in ("SR", "KOS") for v in (ENGLISH, GERMAN)}
    report_uid, note_uid = told["SR", GERMAN.name], told["KOS", GERMAN.name]
    assert german.uids()[len(before) :] == [report_uid, note_uid]
    report, note = parsed(german, report_uid), parsed(german, note_uid)
    assert report.SOPClassUID == ENHANCED_SR
    assert predecessor(report) in before
    assert "zurückgezogen" in text_of(report)
    assert evidence(note) == set(before)
    # A peer that does not take the class gets the report, and the refusal stands on the note alone.
    assert other.uids()[len(KINDS) :] == [told["SR", ENGLISH.name]]
    refused = site.rows(Delivery, Delivery.error_code == "context_refused")
    assert [(row.peer, row.state) for row in refused] == [("ward", "dead")]
    # Who got nothing gets nothing.
    assert {row.error_code for row in site.rows(Delivery, Delivery.peer == "away")} == {"withdrawn"}
    (said,) = site.rows(AuditEntry, AuditEntry.action == "result_withdrawn")
    assert (said.actor, said.detail) == ("otto", {"reason": "wrong_drawing"})
    assert site.events("result_withdrawn") == [{"reason": "wrong_drawing", "comment": "left is right"}]
    assert site.events("withdrawal_told") == [{"objects": 4, "deliveries": 4}]
    assert site.tell() == 0
    assert len(site.told_by(made)) == 4


def test_a_withdrawn_result_counts_for_nothing_any_more(site):
    made = site.publish(peers={})
    flagged = listing.AnalysisQuery(flag=listing.ANY_RAISED)

    def counted():
        with reading(site.sessions) as db:
            return (
                len(listing.list_analyses(db, flagged, before_id=None, limit=9).items),
                funnel(db).measured,
                funnel(db).flagged,
                len(list(cohort.reference_people(db, "imat_fraction", definition=None, without=()))),
            )

    assert counted() == (1, 1, 1, 1)
    site.withdraw(made)
    assert counted() == (0, 0, 0, 0)
    with reading(site.sessions) as db:
        assert funnel(db).eligible == 1
        detail = views.analysis_detail(db, made)
    assert (detail.state, detail.withdrawal.reason, detail.withdrawal.actor) == (
        "measured", "wrong_drawing", "otto"
    )  # fmt: skip
    assert detail.finding is not None
    assert site.tell() == 0
    assert site.told_by(made) == []


def test_only_a_result_that_stands_can_be_withdrawn_and_once(small):
    made = small.publish(peers={})
    assert small.withdraw(999_999) is False
    with pytest.raises(InvalidRequest) as error:
        small.withdraw(made, "tired")
    assert error.value.reason.code == "unknown_withdrawal_reason"
    small.withdraw(made)
    with pytest.raises(InvalidRequest) as error:
        small.withdraw(made)
    assert error.value.reason.code == "already_withdrawn"
    with small.sessions.begin() as db:
        again = orders.order_rerun(db, made, now=small.now)
    with pytest.raises(InvalidRequest) as error:
        small.withdraw(again)
    assert error.value.reason.code == "not_withdrawable"


def test_a_crash_between_files_and_rows_gives_the_same_objects(small, monkeypatch):
    peer = fake_peer()
    made = small.publish(peers={"pacs": ENGLISH})
    with peer.listening():
        small.send(made, peer.destination())
    small.withdraw(made)
    with monkeypatch.context() as broken:
        broken.setattr(withdrawals, "tell", lambda *_, **__: 1 / 0)
        assert small.tell() == 0
    folder = small.home / "results" / str(made) / withdraw.FOLDER
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(before) == ["note.en-flags.dcm", "sr.en-flags.dcm"]
    assert small.told_by(made) == []
    small.now += timedelta(hours=1)
    assert small.tell() == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [kind for kind, _, _ in small.told_by(made)] == ["SR", "KOS"]


def test_a_refused_note_makes_no_peer_fall_back_to_another_variant(small):
    peer, packed = fake_peer(), Variant(encoding="labelmap")
    made = small.publish(peers={"pacs": ENGLISH})
    with peer.listening():
        small.send(made, peer.destination())
        small.withdraw(made)
        small.tell()
        report = small.send(made, peer.destination(variant=packed))
    assert (report.sent, report.dead) == (1, 1)
    assert small.events("variant_refused") == []


def test_what_is_being_sent_is_waited_for_and_told_too(small):
    made = small.publish(peers={"pacs": ENGLISH})
    with small.sessions.begin() as db:
        parcels = deliveries.claim_deliveries(db, made, peer="pacs", now=small.now)
    small.withdraw(made)
    assert small.tell() == 0
    with small.sessions.begin() as db:
        deliveries.mark_sent(db, parcels[0], status=0, now=small.now)
        reason = deliveries.SUPERSEDED
        for parcel in parcels[1:]:
            deliveries.mark_retry(db, parcel, status=None, reason=reason, next_at=small.now)
    assert {row.error_code for row in small.rows(Delivery)} == {None, "withdrawn"}
    assert small.tell() == 2
    (note,) = small.home.glob(f"results/{made}/withdrawal/note*.dcm")
    assert evidence(pydicom.dcmread(note)) == {parcels[0].sop_instance_uid}


def test_a_peer_that_did_not_say_what_became_of_an_object_is_told(small):
    made = small.publish(peers={"pacs": ENGLISH})
    with small.sessions.begin() as db:
        (parcel, *rest) = deliveries.claim_deliveries(db, made, peer="pacs", now=small.now)
        why = {"status": None, "reason": deliveries.OTHER_VARIANT, "next_at": small.now}
        deliveries.mark_retry(db, parcel, **why, limit=3)
        for other in rest:
            deliveries.mark_retry(db, other, **why)
    small.withdraw(made)
    assert small.tell() == 2


def test_what_was_kept_no_longer_cannot_be_told_and_that_is_said(small):
    peer = fake_peer()
    made = small.publish(peers={"pacs": ENGLISH})
    with peer.listening():
        small.send(made, peer.destination())
    with small.sessions.begin() as db:
        db.execute(update(Analysis).values(results_purged_at=small.now, result_path=None))
    small.withdraw(made)
    assert small.tell() == 0
    assert small.events("withdrawal_not_told") == [{"code": "results_purged"}]
    assert (small.told_by(made), small.tell()) == ([], 0)


def test_a_later_version_makes_new_objects_and_names_what_took_the_report_s_place(small):
    peer = fake_peer()
    made = small.publish(peers={"pacs": ENGLISH})
    with peer.listening():
        small.send(made, peer.destination())
    small.now += timedelta(days=1)
    small.withdraw(made)
    small.tell()
    with small.sessions.begin() as db:
        again = orders.order_rerun(db, made, now=small.now)
        claim = queries.claim_analysis(db, again, owner="x", now=small.now)
        assert claim.object_time == small.now != NOW
        (earlier,) = versions.earlier_results(db, claim)
        assert earlier.withdrawn
        told = {(kind, variant): uid for kind, variant, uid in small.told_by(made)}
        reports = earlier.report_uids
        assert reports[ENGLISH.name] == told["SR", ENGLISH.name]
        assert reports[GERMAN.name] != reports[ENGLISH.name]
        assert not earlier.object_uids & set(told.values())
        # The newer result does not keep the peers from being told.
        queries.save_finding(db, claim, measured_result(), now=small.now)
        versions.supersede(db, [made], now=small.now)
        deliveries.drop_unsent(db, [made], now=small.now)
    with peer.listening(classes=(*ALL_CLASSES, KOS_CLASS)):
        assert small.send(made, peer.destination()).sent == 2


def test_a_version_that_runs_meanwhile_begins_anew(small):
    made = small.publish(peers={})
    with small.sessions.begin() as db:
        again = orders.order_rerun(db, made, now=small.now)
        claim = queries.claim_analysis(db, again, owner="x", now=small.now)
        assert claim.object_time == NOW
    small.now += timedelta(hours=1)
    small.withdraw(made)
    with small.sessions.begin() as db:
        assert not queries.beat_analysis(db, claim)
        assert queries.claim_analysis(db, again, owner="y", now=small.now).object_time == small.now


def test_a_withdrawn_object_is_not_sent_again_but_the_note_is(small):
    made = small.publish(peers={"pacs": ENGLISH, "away": ENGLISH})
    peer = fake_peer()
    with peer.listening():
        small.send(made, peer.destination())
    small.withdraw(made)
    small.tell()
    with peer.listening():
        small.send(made, peer.destination())
    dead = small.rows(Delivery, Delivery.peer == "away")[0]
    with small.sessions.begin() as db, pytest.raises(InvalidRequest) as error:
        orders.order_retry(db, dead.id, now=small.now)
    assert error.value.reason.code == "withdrawn"
    with small.sessions.begin() as db:
        assert orders.order_retry_of_peer(db, "away", now=small.now) == 0
        assert orders.order_retry_of_peer(db, "pacs", now=small.now) == 1


def test_its_files_are_copied_and_let_go_with_those_of_the_result(small):
    peer = fake_peer()
    made = small.publish(peers={"pacs": ENGLISH})
    with peer.listening():
        small.send(made, peer.destination())
    small.withdraw(made)
    small.tell()
    folder = f"results/{made}"
    with reading(small.sessions) as db:
        assert retention.kept_results(db) == [f"{folder}/attempt-1", f"{folder}/withdrawal"]
    with peer.listening():
        small.send(made, peer.destination())
    with small.sessions.begin() as db:
        db.execute(update(Series).values(state="closed", closed_at=NOW))
    later = small.now + timedelta(days=10)
    keeping.purge(small.sessions, small.home, keeping.Terms.in_days(results=9), now=later)
    assert not (small.home / folder).exists()


def test_change_over_time_passes_over_a_withdrawn_result(small):
    made = small.publish(peers={})
    with small.sessions.begin() as db:
        db.execute(update(Study).values(birth_date="19700101", sex="F", study_date="20250101"))
        db.execute(update(Series).values(birth_date="19700101", sex="F"))
        facts = instance(study=2)
        person = replace(facts.study, birth_date="19700101", sex="F", study_date="20260101")
        ledger.record_instance(db, replace(facts, study=person), now=NOW)
        later = db.scalar(select(Series).where(Series.series_uid == "1.2.3.2.1"))
        (second,) = versions.make_ready(
            db, study_id=later.study_id, series_ids=[later.id], sets=[set_input(later.id, 0, "d2")], now=NOW
        )
        assert len(priors.earlier_findings(db, second)) == 1
    small.withdraw(made)
    with reading(small.sessions) as db:
        assert priors.earlier_findings(db, second) == []


def test_the_command_line_withdraws(small, monkeypatch):
    made = small.publish(peers={})
    monkeypatch.setenv("MYOSCREEN_HOME", str(small.home))
    runner, order = CliRunner(), ["withdraw", str(made), "--reason"]
    wrong = runner.invoke(build_app("withdraw"), [*order, "tired"])
    none = runner.invoke(build_app("withdraw"), ["withdraw", "999999", "--reason", "other"])
    codes = [answer.exception.reason.code for answer in (wrong, none)]
    assert codes == ["unknown_withdrawal_reason", "not_found"]
    done = runner.invoke(build_app("withdraw"), [*order, "software_fault", "--comment", "version 1"])
    assert (done.exit_code, done.stdout) == (0, "withdrawn\n")
    (said,) = small.rows(AuditEntry, AuditEntry.action == "result_withdrawn")
    assert said.actor == "command line"
    assert small.events("result_withdrawn") == [{"reason": "software_fault", "comment": "version 1"}]


def test_an_earlier_release_finds_a_withdrawn_result_out_of_use(site, database_url):
    made = site.publish(peers={"pacs": ENGLISH})
    peer = fake_peer()
    with peer.listening():
        site.send(made, peer.destination())
    site.withdraw(made)
    assert site.tell() == 2
    with peer.listening():
        site.send(made, peer.destination())
    downgrade(database_url, "0001")
    with reading(site.sessions) as db:
        assert db.scalar(text("SELECT state FROM analyses")) == "superseded"
        assert db.scalar(text("SELECT count(*) FROM outputs")) == len(KINDS)
        assert db.scalar(text("SELECT count(*) FROM deliveries WHERE state = 'pending'")) == 0
    upgrade(database_url)
    assert site.tell() == 0
