"""Reviews: what a reader says of a drawing, and what goes out or is taken back by it."""

from dataclasses import replace
from datetime import timedelta
from threading import Thread

import pytest
from sqlalchemy import select, text

from service.core.status import DeliveryState
from service.db import deliveries, holding, orders, people, reviews
from service.db.session import downgrade, make_sessions, reading, upgrade
from service.db.tables import Analysis, AuditEntry, Delivery, Event, Output, Review, User
from service.dicom.spool import Spool
from service.errors import InvalidRequest
from service.pipeline import attempt, close, deliver, run, withdraw
from service.pipeline.close import Closing
from service.web import reviewing
from tests.make import stand_in
from tests.make.peers import fake_peer
from tests.make.received import NOW, take_in
from tests.make.running import wait_for
from tests.make.series import mr_series
from tests.make.web import form_token

QUIET = timedelta(seconds=60)


class Site:
    """One worker and a peer that waits for reviews."""

    def __init__(self, sessions, home, monkeypatch):
        self.sessions, self.home, self.now = sessions, home, NOW
        self.spool, self.peer = Spool(home / "spool"), fake_peer()
        monkeypatch.setattr(attempt, "analyse_inputs", stand_in.analyse)

    def measured(self, paths, **more):
        """A result of these images."""
        take_in(self.sessions, self.spool, paths, now=self.now)
        self.now += QUIET
        closing = Closing(quiet=QUIET, hard_cap=timedelta(minutes=30))
        (made,) = close.close_series(self.sessions, self.spool, now=self.now, closing=closing)
        self.run(made, **more)
        return made

    def run(self, analysis_id, *, after_review=True):
        bench = run.Bench(
            home=self.home,
            spool=self.spool,
            destinations=[replace(self.peer.destination(), after_review=after_review)],
            terms=run.Terms(max_attempts=2, retry_after=timedelta(seconds=5), beat_seconds=60),
            owner="worker",
            clock=lambda: self.now,
        )
        return run.run(self.sessions, analysis_id, stand_in.performing(), bench)

    def review(self, analysis_id, verdict, **more):
        with self.sessions.begin() as db:
            return reviews.add(db, analysis_id, verdict=verdict, actor="rita", now=self.now, **more)

    def send(self, analysis_id, *, after_review=True):
        """What the worker does with what is due; how many objects the peer has then."""
        terms = deliver.Terms(
            attempts=2, backoff=timedelta(seconds=1), backoff_max=timedelta(seconds=1), beat_seconds=60
        )
        with self.peer.listening():
            deliver.run(
                self.sessions,
                analysis_id,
                replace(self.peer.destination(), after_review=after_review),
                home=self.home,
                terms=terms,
                clock=lambda: self.now,
            )
        return len(self.peer.received)

    def all_of(self, table):
        with reading(self.sessions) as db:
            return db.scalars(select(table).order_by(table.id)).all()

    def deliveries(self):
        return [row.state for row in self.all_of(Delivery)]

    def waiting(self):
        with reading(self.sessions) as db:
            return list(reviews.waiting(db))


@pytest.fixture
def site(sessions, tmp_path, monkeypatch):
    return Site(sessions, tmp_path / "home", monkeypatch)


@pytest.fixture
def busy(postgres, tmp_path, monkeypatch):
    """On PostgreSQL, where two transactions may write at a time."""
    url = postgres.new_database()
    upgrade(url)
    sessions = make_sessions(url)
    yield Site(sessions, tmp_path / "home", monkeypatch)
    sessions.kw["bind"].dispose()


@pytest.fixture
def result(site, tmp_path):
    return site.measured(mr_series(tmp_path / "in"))


@pytest.mark.parametrize("verdict", ["accept", "minor"])
def test_what_was_held_goes_out_when_a_reviewer_accepts(site, result, verdict):
    assert site.deliveries() == ["held"]
    assert site.waiting() == [result]
    assert [row.next_at for row in site.all_of(Delivery)] == [None]
    assert site.review(result, verdict, comment=" a  comment ") == 1
    assert (site.deliveries(), site.waiting()) == (["pending"], [])
    (said,) = site.all_of(Review)
    assert (said.verdict, said.comment, said.actor) == (verdict, "a  comment", "rita")
    # The free text stands in its row alone.
    for row in (*site.all_of(Event), *site.all_of(AuditEntry)):
        assert "comment" not in str(row.detail)
    assert [row.action for row in site.all_of(AuditEntry)][-1] == "result_reviewed"


def test_a_rejected_result_is_withdrawn_and_nothing_of_it_goes(site, result):
    assert site.review(result, "reject") == 0
    assert site.deliveries() == [DeliveryState.DEAD]
    (analysis,) = site.all_of(Analysis)
    assert (analysis.withdrawal_reason, analysis.withdrawn_by) == ("wrong_drawing", "rita")
    with pytest.raises(InvalidRequest) as caught:
        site.review(result, "accept")
    assert caught.value.reason.code == "already_withdrawn"


def test_a_new_drawing_needs_a_review_of_its_own_and_takes_the_place_of_what_was_held(site, result, tmp_path):
    (late,) = mr_series(tmp_path / "late", first_number=6, positions=[20.0])
    again = site.measured([late])
    held = [row for row in site.all_of(Delivery) if row.state == "held"]
    assert site.waiting() == [again]
    assert held
    with pytest.raises(InvalidRequest) as caught:
        site.review(result, "accept")
    assert caught.value.reason.code == "not_reviewable"
    assert site.review(again, "accept") == len(held)


def test_the_same_drawing_again_is_let_go_under_whichever_version_it_waits(site, result):
    with site.sessions.begin() as db:
        again = orders.order_rerun(db, result, now=site.now)
    site.run(again)
    assert site.deliveries() == ["held"]
    assert site.waiting() == [again]
    assert site.review(again, "accept") == 1
    assert site.deliveries() == ["pending"]


def test_what_was_held_and_given_up_is_held_again_when_a_person_has_it_sent_again(site, result):
    with site.sessions.begin() as db:
        assert deliveries.give_up_peer(db, "pacs") == 1
        orders.order_retry_of_peer(db, "pacs", now=site.now)
    assert site.deliveries() == ["pending"]
    assert site.send(result) == 0
    assert (site.deliveries(), site.waiting()) == (["held"], [result])
    assert site.review(result, "accept") == 1
    assert site.send(result) == 1


def test_what_waits_is_held_once_the_settings_say_so(site, tmp_path):
    made = site.measured(mr_series(tmp_path / "in"), after_review=False)
    assert site.deliveries() == ["pending"]
    assert site.send(made) == 0
    assert site.deliveries() == ["held"]


def test_a_rejected_result_that_nobody_had_is_told_to_nobody(site, result):
    site.review(result, "reject")
    told = withdraw.tell_peers(site.sessions, site.home, preferred={}, clock=lambda: site.now)
    assert (told, site.deliveries()) == (0, ["dead"])
    with site.sessions.begin() as db:
        assert orders.order_retry_of_peer(db, "pacs", now=site.now) == 0


def test_what_tells_of_a_withdrawal_waits_for_no_review(site, result):
    with site.sessions.begin() as db:
        held = db.scalars(select(Output)).one()
        copied = ("analysis_id", "kind", "sop_class_uid", "path", "sha256", "size")
        told = Output(
            **{name: getattr(held, name) for name in copied}, sop_instance_uid="1.2.3", withdrawal=True
        )
        told.deliveries = [Delivery(peer="pacs", state="pending", next_at=NOW, created_at=NOW)]
        db.add(told)
    assert site.send(result) == 1
    assert site.deliveries() == ["held", "sent"]


def test_the_same_drawing_again_is_accepted_with_the_first(site, result):
    """Also for a peer that is new since then."""
    site.review(result, "accept")
    assert site.send(result) == 1
    with site.sessions.begin() as db:
        again = orders.order_rerun(db, result, now=site.now)
        db.scalars(select(Delivery)).one().peer = "another"
    site.run(again)
    assert [(row.peer, row.state) for row in site.all_of(Delivery)] == [
        ("another", "sent"),
        ("pacs", "pending"),
    ]
    assert site.send(again) == 2


def test_a_rejection_takes_turns_with_a_newer_version_that_is_published(busy, tmp_path):
    """Both lock the newest version first; else each may wait for the other."""
    result = busy.measured(mr_series(tmp_path / "in"))
    with busy.sessions.begin() as db:
        newer = orders.order_rerun(db, result, now=busy.now)
    thread = Thread(target=busy.review, args=(result, "reject"))
    with busy.sessions.begin() as db:
        db.execute(select(Analysis.id).where(Analysis.id == newer).with_for_update())
        thread.start()
        wait_for("the review to wait", lambda: waits(busy), seconds=20)
        older = select(Analysis.id).where(Analysis.id == result)
        assert db.scalar(older.with_for_update(nowait=True)) == result
    thread.join(20)
    assert busy.all_of(Analysis)[0].withdrawn_at is not None


def test_a_last_look_takes_turns_with_a_review(busy, tmp_path):
    """Else it would hold for ever what was accepted meanwhile."""
    result = busy.measured(mr_series(tmp_path / "in"), after_review=False)
    looked = []

    def look():
        with busy.sessions.begin() as db:
            looked.append(holding.hold(db, result, peer="pacs"))

    thread = Thread(target=look)
    with busy.sessions.begin() as db:
        reviews.add(db, result, verdict="accept", actor="rita", now=busy.now)
        thread.start()
        wait_for("the look to wait", lambda: waits(busy), seconds=20)
    thread.join(20)
    assert (looked, busy.deliveries()) == ([0], ["pending"])


def waits(site):
    """Whether some transaction of this database waits for another one."""
    with reading(site.sessions) as db:
        return db.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )


def test_new_scores_of_an_accepted_drawing_need_no_further_review(site, result):
    with site.sessions.begin() as db:
        assert not holding.is_accepted(db, result)
    site.review(result, "accept")
    with site.sessions.begin() as db:
        scored = orders.order_rerun(db, result, now=site.now)
        db.get(Analysis, scored).rescores_id = result
        db.flush()
        assert holding.is_accepted(db, scored)
        db.get(Analysis, scored).rescores_id = scored
        db.flush()
        assert not holding.is_accepted(db, scored)


def test_only_results_that_stand_are_reviewed(site, result):
    assert site.review(999, "accept") is None
    with pytest.raises(InvalidRequest) as caught:
        site.review(result, "superb")
    assert caught.value.reason.code == "unknown_verdict"


def test_tallies_and_agreement_count_last_words(site, result):
    for actor, verdict in (("a", "minor"), ("b", "accept"), ("a", "accept"), ("c", "minor")):
        with site.sessions.begin() as db:
            reviews.add(db, result, verdict=verdict, actor=actor, now=site.now)
    with reading(site.sessions) as db:
        (tally,) = reviews.tallies(db)
        assert (tally.counts["minor"], tally.total) == (1, 1)
        found = reviews.agreement(db)
    assert (found.results, found.pairs, found.same) == (1, 3, 1)


def test_the_drawing_is_reviewed_on_its_page(world):
    page = f"/analyses/{world.ids.flagged}"
    rita = world.browser("rita")
    token = {"csrf_token": form_token(rita.get(page).text)}
    asked = rita.post(f"{page}/review", data={**token, "verdict": "superb"})
    assert "review_needs_verdict" in asked.headers["location"]
    done = rita.post(f"{page}/review", data={**token, "verdict": "minor", "comment": "a <b>gap</b>"})
    assert (done.status_code, done.headers["location"]) == (303, f"{page}?notice=review_minor#review")
    shown = rita.get(page).text
    assert "Reviewed by: rita, accepted, small faults" in shown
    assert "a &lt;b&gt;gap&lt;/b&gt;" in shown
    assert "accepted, small faults" in rita.get("/reviews").text
    assert ("rita", "result_reviewed", "ok") in world.actions()


def test_reviews_by_rest_ask_for_the_role(world):
    path = f"/api/v1/analyses/{world.ids.flagged}/reviews"
    for role in ("viewer", "operator", "auditor"):
        assert world.program(role).post(path, json={"verdict": "accept"}).status_code == 403
    program = world.program("reviewer")
    assert program.post(path, json={"verdict": "superb"}).status_code == 422
    assert program.post("/api/v1/analyses/999999/reviews", json={"verdict": "accept"}).status_code == 404
    answer = program.post(path, json={"verdict": "reject"})
    assert (answer.status_code, answer.json()["withdrawn"]) == (200, True)
    told = program.get(path).json()
    assert (told["accepted"], [item["verdict"] for item in told["items"]]) == (False, ["reject"])
    assert program.get("/api/v1/reviews").json()["waiting"] == []
    page = f"/analyses/{world.ids.flagged}"
    assert f'action="{page}/review"' not in world.browser("vera").get(page).text


def test_what_waits_for_a_review_is_listed_to_the_last(world, monkeypatch):
    monkeypatch.setattr(reviewing, "PAGE", 1)
    with world.sessions.begin() as db:
        ids = db.scalars(
            select(Analysis.id).where(Analysis.state == "measured", Analysis.withdrawn_at.is_(None))
        ).all()
        for number, analysis_id in enumerate(ids):
            output = Output(
                analysis_id=analysis_id,
                kind="SEG",
                sop_class_uid="1",
                sop_instance_uid=f"1.2.99.{number}",
                path="x",
                sha256="x",
                size=1,
            )
            output.deliveries = [Delivery(peer="pacs", state="held", created_at=NOW)]
            db.add(output)
    assert len(ids) > 1
    program, seen, cursor = world.program("reviewer"), [], {}
    while True:
        told = program.get("/api/v1/reviews", params=cursor).json()
        seen += told["waiting"]
        if told["next_cursor"] is None:
            break
        page = world.browser("rita").get("/reviews", params=cursor).text
        assert f"cursor={told['next_cursor']}" in page
        assert "finished <time datetime=" in page
        cursor = {"cursor": told["next_cursor"]}
    assert seen == sorted(ids, reverse=True)


def test_an_earlier_release_finds_nothing_that_it_does_not_know(site, result):
    """Roles and states of before; else it would stop at the first of them."""
    with site.sessions.begin() as db:
        for name in ("reviewer", "sender", "viewer"):
            people.add_key(db, name=name, role=name, now=NOW, actor="anna")
        db.add(User(name="rita", password_hash="x", role="reviewer", created_at=NOW))
    engine = site.sessions.kw["bind"]
    url = engine.url.render_as_string(hide_password=False)
    engine.dispose()
    downgrade(url, "0002")
    with engine.connect() as connection:
        keys = connection.execute(text("SELECT name, role, revoked_at IS NULL FROM api_keys")).all()
        assert {tuple(row) for row in keys} == {
            ("reviewer", "viewer", True),
            ("sender", "viewer", False),
            ("viewer", "viewer", True),
        }
        assert connection.execute(text("SELECT role FROM users")).scalars().all() == ["viewer"]
        assert connection.execute(text("SELECT state FROM deliveries")).scalars().all() == ["dead"]
